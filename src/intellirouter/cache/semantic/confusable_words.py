"""English words that become another word if two neighboring letters are swapped. Data only."""

from typing import Final

SWAPPED_WORDS: Final = frozenset(
    frozenset(pair.split("/"))
    for pair in """
    accouterment/accoutrement accouterments/accoutrements acred/arced adler/alder ailment/aliment ailments/aliments
    albino/albion albion/alboin algin/align algins/aligns alias/alisa alien/aline aliens/alines amiens/amines
    amino/amnio angel/angle angels/angles appel/apple aries/arise arleen/arlene armoires/armories baals/balas
    badly/baldy bahai/bahia bahts/baths balas/balsa balded/bladed balding/blading barde/bared bards/brads
    barely/barley bares/braes barked/braked barking/braking barque/braque basel/basle basest/basset basis/bassi
    beams/bemas beast/beats beats/betas bedlam/beldam bedlams/beldams beira/beria belated/bleated berar/berra
    blankest/blankets blast/blats blots/bolts blouses/boluses blower/bowler blowers/bowlers blowing/bowling
    blubs/bulbs bluest/bluets boast/boats boost/boots brain/brian brandeis/brandies bread/breda brede/breed
    breughel/brueghel briskest/briskets bruch/burch bruin/burin bruins/burins brunet/burnet brunt/burnt brusa/bursa
    bryon/byron bugle/bulge bugled/bulged bugles/bulges bugling/bulging bursa/busra calms/clams calque/claque
    calques/claques calve/clave cambrai/cambria cameos/camoes candide/candied canst/cants capri/carpi cares/carse
    caret/carte carets/cartes carlo/carol carlos/carols carly/caryl carnage/cranage carne/crane carps/craps
    carte/crate carted/crated carter/crater carters/craters cartes/crates carting/crating carton/craton carve/crave
    carved/craved carven/craven carves/craves carving/craving carvings/cravings castor/castro casual/causal
    casually/causally centering/centreing ceram/cream cerate/create cerated/created cerates/creates cered/creed
    ceres/crees ceruse/creuse cervices/crevices chagres/charges chain/chian chair/chari chian/china
    christian/christina claps/clasp clarino/clarion clods/colds closest/closets clots/colts clutch/cultch
    coals/colas coast/coats codes/coeds collide/collied comet/comte compiled/complied compiles/complies
    complaint/compliant complied/compiled concerted/concreted concerting/concreting concertize/concretize
    concertized/concretized concertizes/concretizes concertizing/concretizing conservatoires/conservatories
    copes/copse cores/corse cornus/cronus corny/crony coroner/crooner coroners/crooners corps/crops corydon/croydon
    coset/coste creep/crepe creeps/crepes creepy/crepey cruet/curet cruets/curets cruse/curse cruses/curses
    crust/curst cubist/cubits cures/curse cutesy/cuteys daimon/damion dairen/darien dairies/diaries dairy/diary
    darin/drain debar/debra denies/denise didoes/diodes direr/drier direst/driest discreet/discrete
    discreetly/discretely discreetness/discreteness elector/electro elias/elisa elise/elsie enisle/ensile
    exist/exits falcon/flacon faltboat/flatboat farmed/framed farmer/framer farmers/framers farming/framing
    farts/frats fealty/featly feast/feats fiedler/fielder fiefs/fifes field/filed fiend/fined filed/flied
    filer/flier filers/fliers files/flies finely/finley fired/fried firer/frier firers/friers fires/fries
    firth/frith flour/fluor flours/fluors form/from forth/froth forward/froward forwardly/frowardly
    forwardness/frowardness freida/frieda freshest/freshets freyr/fryer frumenty/furmenty gaels/gales garble/grable
    garbs/grabs garter/grater garters/graters gaurs/guars genets/gentes georgian/georgina gilded/glided
    gilder/glider gilders/gliders gilding/gliding gingko/ginkgo gingkoes/ginkgoes gingkos/ginkgos girds/grids
    girth/grith girts/grits glues/gules gores/gorse grandam/grandma grandams/grandmas great/greta grist/grits
    gustier/gutsier gustiest/gutsiest gustily/gutsily gustiness/gutsiness gusty/gutsy handclaps/handclasp
    handel/handle hearst/hearts heart/herat heresy/hersey hoars/horas horas/horsa horus/hours hurst/hurts
    iaccoca/iacocca indiscreet/indiscrete infarct/infract infarcted/infracted infarction/infraction
    infarcts/infracts isidor/isidro jaime/jamie janine/jannie jeanine/jeannie jeffery/jeffrey joesph/joseph
    kails/kalis karst/karts keith/kieth kirsten/kristen laird/liard lairs/liars leila/lelia lemnos/lemons
    lewis/lweis liars/liras liens/lines limpest/limpets lions/loins loess/loses loire/lorie loran/lorna lotus/louts
    lucian/lucina mabel/mable macro/marco macros/marcos maligner/malinger maligners/malingers manat/manta
    mande/maned manes/manse manias/manisa mantel/mantle mantelpiece/mantlepiece mantelpieces/mantlepieces
    mantels/mantles marat/marta marco/maroc marian/marina marino/marion marital/martial maritally/martially
    martian/martina meagerness/meagreness median/medina meets/metes michael/micheal miens/mines minimus/miniums
    minks/minsk minuet/minute minuets/minutes misfield/misfiled moans/monas monet/monte mores/morse motet/motte
    moues/mouse mouses/mousse mucor/mucro mugginess/mugginses nobel/noble ocherous/ochreous overdoes/overdose
    padang/padnag pairs/paris palter/plater paradisaic/paradisiac paradisaical/paradisiacal pares/parse
    pareses/parsees paris/parsi parse/prase parted/prated parting/prating parton/patron parts/prats pasties/patsies
    pasty/patsy patios/patois pedicel/pedicle peeks/pekes peele/pelee peens/penes peirce/pierce percept/precept
    perceptive/preceptive percepts/precepts perfect/prefect perfects/prefects perform/preform performed/preformed
    performing/preforming performs/preforms perils/perlis permed/premed perpend/prepend pertest/pretest
    pervious/previous perviously/previously piled/plied piles/plies pinks/pinsk pinot/pinto pinots/pintos
    pizazz/pizzaz plaint/pliant ploys/polys plummest/plummets pluses/pulses poems/pomes poises/posies poses/posse
    premies/premise pride/pried pules/pulse purims/purism quiet/quite radicel/radicle rails/rials rains/ranis
    realtor/relator reest/reset regarded/regraded regarding/regrading regin/reign repertoires/repertories
    resist/resits retard/retrad retired/retried retires/retries reveres/reverse riels/riles ripely/ripley
    rogue/rouge rogues/rouges romaines/romanies roost/roots roust/routs rubel/ruble sacred/scared sacring/scaring
    salas/salsa salian/salina salians/salinas saliva/salvia salted/slated salter/slater saltier/slatier
    saltiest/slatiest salting/slating salts/slats salty/slaty salve/slave salved/slaved salver/slaver
    salvers/slavers salves/slaves salving/slaving sangs/snags satin/stain satins/stains scarp/scrap scarped/scraped
    scarper/scraper scarpers/scrapers scarping/scraping scarps/scraps schemer/schmeer schemers/schmeers
    scotus/scouts sedan/sedna segre/serge setts/stets sheila/shelia sherd/shred sherds/shreds shriek/shrike
    shrieks/shrikes signed/singed signer/singer signers/singers signing/singing signs/sings silly/slily silts/slits
    silver/sliver silvered/slivered silvering/slivering silvers/slivers siple/spile sites/sties slide/sidle
    slides/sidles sloan/solan sloes/soles snogs/songs soils/solis soldier/solider solitaires/solitaries solus/souls
    somberly/sombrely somberness/sombreness sopor/spoor sorites/sorties sorus/sours spams/spasm spares/sparse
    spiel/spile spiels/spiles spilt/split spirt/sprit spirts/sprits stael/stale stael/steal steal/stela
    steals/stelas steel/stele steels/steles stirps/strips story/stroy strait/strati tarpan/trapan tarps/traps
    tarty/tatry tatar/tatra teazel/teazle teazels/teazles tenno/tenon tennos/tenons termor/tremor thees/these
    there/three thickest/thickets thickest/thickset tilde/tiled tilted/titled tilting/titling tired/tried
    tires/tries tiros/trios toady/today tolly/tolyl torches/troches torts/trots torus/tours trail/trial
    trailed/trialed trailing/trialing trails/trials treaties/treatise truing/turing tucson/tuscon twist/twits
    umbels/umbles ungual/ungula uniats/unitas unite/untie united/untied unites/unties untired/untried vales/valse
    vinci/vinic vogue/vouge vogues/vouges waist/waits waiver/wavier warps/wraps weimar/wiemar welty/wetly
    whist/whits whitely/whitley wield/wiled wigner/winger wilde/wiled wilting/witling wirer/wrier wolof/woolf
    worth/wroth wrist/writs yeast/yeats yodel/yodle
    """.split()
)
