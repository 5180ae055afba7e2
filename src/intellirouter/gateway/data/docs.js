// Shows the OpenAPI document and sends test requests. Loads nothing from other hosts.

const METHODS = ["get", "post", "delete"];
const SHOWN_HEADERS = /^(x-request-id|x-intellirouter-|retry-after|content-type)/;
const MAX_DEPTH = 6;
/** Where the gateway is, without a slash at the end. A proxy can serve it below a path prefix. */
const BASE = new URL("../..", import.meta.url).href.slice(0, -1);
const $ = (id) => document.getElementById(id);
let api;

/** Make an element: `el("a.plain", {href: "#"}, "text", otherElement)`. Strings become text, never markup. */
function el(kind, attributes = {}, ...inside) {
  const [name, ...classes] = kind.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...inside.flat().filter((each) => each !== null && each !== undefined && each !== ""));
  return made;
}

/** Return text with `code` marked up. */
const prose = (text) =>
  (text ?? "").split(/`([^`]+)`/).map((part, index) => (index % 2 ? el("code", {}, part) : part));

const resolved = (value) =>
  value && value.$ref ? { ...value.$ref.slice(2).split("/").reduce((at, key) => at[key], api), ref: value.$ref } : value;

function operations() {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })),
  );
}

// -- the list ---------------------------------------------------------------------------------------------------------

function drawList() {
  const wanted = $("filter").value.trim().toLowerCase();
  const groups = api.tags.map((tag) => {
    const found = operations().filter(
      (each) => each.tags[0] === tag.name && `${each.method} ${each.path} ${each.summary}`.toLowerCase().includes(wanted),
    );
    return found.length ? [el("h2", {}, tag.name), ...found.map(link)] : [];
  });
  $("list").replaceChildren(...groups.flat());
  mark();
}

const link = (each) =>
  el("a", { href: `#/${each.operationId}`, title: each.path }, el(`span.method.${each.method}`, {}, each.method),
    el("span", {}, each.summary));

function mark() {
  for (const each of $("list").querySelectorAll("a")) {
    if (each.hash === location.hash) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

// -- schemas ----------------------------------------------------------------------------------------------------------

function typeOf(value) {
  const schema = resolved(value);
  if (!schema) return "any";
  if (schema.format === "binary") return "file";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return [...new Set(options.map(typeOf))].join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  if ([schema.type].flat().includes("array")) {
    const inner = typeOf(schema.items ?? {});
    const many = inner.includes(" ") ? `(${inner})[]` : `${inner}[]`;
    return [schema.type].flat().includes("null") ? `${many} | null` : many;
  }
  if (schema.ref && schema.properties) return schema.ref.split("/").pop();
  return [schema.type ?? "any"].flat().join(" | ");
}

/** Return the objects whose members a schema lets one write: its own, those of its options, of its items. */
function objectsIn(value) {
  const schema = resolved(value) ?? {};
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  if (schema.items) inner.push(schema.items);
  return [...(schema.properties ? [schema] : []), ...inner.flatMap(objectsIn)];
}

function bounds(schema) {
  const parts = [];
  if (schema.minimum !== undefined) parts.push(`≥ ${schema.minimum}`);
  if (schema.maximum !== undefined) parts.push(`≤ ${schema.maximum}`);
  if (schema.minItems) parts.push(`at least ${schema.minItems}`);
  if (schema.maxLength) parts.push(`at most ${schema.maxLength} characters`);
  if (schema.default !== undefined && schema.default !== null) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.join(", ");
}

function tree(value, depth = 0, seen = []) {
  const rows = objectsIn(value).flatMap((object) =>
    Object.entries(object.properties).map(([name, of]) => member(name, of, object, depth, seen)),
  );
  return rows.length ? el(depth ? "ul" : "ul.tree", {}, rows) : null;
}

function member(name, of, object, depth, seen) {
  const schema = resolved(of);
  const head = [
    el("span.name", {}, name), " ", el("span.type", {}, typeOf(of)), " ",
    (object.required ?? []).includes(name) ? el("span.must", {}, "required ") : null,
    el("span.note", {}, ...prose([schema.description, bounds(schema)].filter(Boolean).join(" "))),
  ];
  const refs = objectsIn(of).map((each) => each.ref).filter(Boolean);
  const isDeep = depth >= MAX_DEPTH || refs.some((ref) => seen.includes(ref));
  const inner = isDeep ? null : tree(of, depth + 1, [...seen, ...refs]);
  return el("li", {}, inner ? el("details", {}, el("summary", {}, head), inner) : head);
}

// -- one endpoint -----------------------------------------------------------------------------------------------------

function draw() {
  const id = location.hash.slice(2);
  const found = operations().find((each) => each.operationId === id);
  const drawn = found ? endpoint(found) : start();
  $("main").replaceChildren(...drawn.filter(Boolean));
  document.title = found ? `${found.summary} · IntelliRouter API` : "IntelliRouter API";
  mark();
  window.scrollTo(0, 0);
}

function start() {
  const info = api.info;
  const cards = api.tags.map((tag) => {
    const first = operations().filter((each) => each.tags[0] === tag.name);
    if (!first.length) return null;
    return el("a", { href: `#/${first[0].operationId}` }, el("strong", {}, tag.name),
      el("span.quiet", {}, ...prose(tag.description)), el("div.quiet", {}, `${first.length} endpoints`));
  });
  const schemes = Object.entries(api.components.securitySchemes).map(([name, scheme]) =>
    el("tr", {}, el("td", {}, el("code", {}, name)), el("td", {}, ...prose(scheme.description))));
  return [
    el("h1", {}, info.title), el("p", {}, info.summary), ...info.description.trim().split("\n\n").map((each) => el("p.quiet", {}, ...prose(each))),
    el("div.cards", {}, cards), el("h2", {}, "How to send an API key"),
    el("table", {}, el("tbody", {}, schemes)),
  ];
}

function endpoint(each) {
  const parameters = each.parameters ?? [];
  return [
    el("h1", {}, each.summary),
    el("p.address", {}, el(`span.method.${each.method}`, {}, each.method), el("span.path", {}, each.path)),
    each.description ? el("p", {}, ...prose(each.description)) : null,
    el("div.columns", {},
      el("section", {}, parameters.length ? parameterTable(parameters) : null, ...bodyOf(each), ...answersOf(each)),
      el("section", {}, el("h2", {}, "Try it"), tryOut(each))),
  ];
}

function parameterTable(parameters) {
  const rows = parameters.map((each) =>
    el("tr", {}, el("td", {}, el("span.name", {}, each.name), " ", each.required ? el("span.must", {}, "required") : null),
      el("td", {}, el("span.type", {}, typeOf(each.schema)), " ", el("span.quiet", {}, each.in)),
      el("td", {}, ...prose([each.description, bounds(resolved(each.schema))].filter(Boolean).join(" ")))));
  return el("div", {}, el("h2", {}, "Parameters"), el("table", {}, el("tbody", {}, rows)));
}

function bodyOf(each) {
  return Object.entries(each.requestBody?.content ?? {}).flatMap(([kind, of]) => [
    el("h2", {}, "Request ", el("span.quiet", {}, kind)), tree(of.schema) ?? el("p.quiet", {}, typeOf(of.schema)),
  ]);
}

function answersOf(each) {
  return Object.entries(each.responses).flatMap(([status, value]) => {
    const response = resolved(value);
    const kinds = Object.entries(response.content ?? {});
    const shown = kinds.map(([kind, of]) => el("details", { open: status === "200" && kind === "application/json" },
      el("summary", {}, el("span.type", {}, kind), " ", el("span.quiet", {}, typeOf(of.schema))),
      tree(of.schema) ?? el("p.note", {}, ...prose(resolved(of.schema).description))));
    return [el("h3", {}, el("span.status", { class: `status ${status < "3" ? "good" : "bad"}` }, status), " ",
      el("span.quiet", {}, ...prose(response.description))),
    ...(status < "3" ? shown : [])];
  });
}

// -- test requests -----------------------------------------------------------------------------------------------------------

function tryOut(each) {
  const json = each.requestBody?.content["application/json"];
  const isForm = Boolean(each.requestBody && !json);
  const inputs = (each.parameters ?? []).map((parameter) => ({ parameter, input: el("input", { name: parameter.name, spellcheck: "false" }) }));
  const form = isForm ? formInputs(each) : [];
  const text = json ? el("textarea", { spellcheck: "false", "aria-label": "Request body" }) : null;
  if (text) text.value = JSON.stringify(json.example ?? {}, null, 2);
  const send = el("button.main", { type: "submit" }, "Send");
  const stop = el("button", { type: "button", disabled: true }, "Stop");
  const out = el("div", { "aria-live": "polite" }, el("span.quiet", {}, "The response appears here."));
  const panel = el("form.try", {},
    ...inputs.map(({ parameter, input }) => el("label", {}, parameter.name, input)),
    ...form.map(({ name, input }) => el("label", {}, name, input)),
    text ? el("label.tall", {}, "Body", text) : null,
    el("div.actions", {}, send, stop, el("button", { type: "button", onclick: () => copyCurl(each, inputs, text) }, "Copy as curl")));
  panel.addEventListener("submit", async (event) => {
    event.preventDefault();
    const control = new AbortController();
    stop.onclick = () => control.abort();
    [send.disabled, stop.disabled] = [true, false];
    await ask(each, inputs, form, text, out, control.signal);
    [send.disabled, stop.disabled] = [false, true];
  });
  return el("div.panel", {}, panel, out);
}

const formInputs = (each) =>
  Object.entries(resolved(each.requestBody.content["multipart/form-data"].schema).properties).map(([name, schema]) => ({
    name, input: el("input", { name, type: schema.format === "binary" ? "file" : "text" }),
  }));

function requestOf(each, inputs, text) {
  const query = new URLSearchParams();
  const headers = {};
  let path = each.path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value && parameter.in === "query") query.set(parameter.name, input.value);
    else if (input.value) headers[parameter.name] = input.value;
  }
  if ($("key").value) headers.authorization = `Bearer ${$("key").value}`;
  if (text) headers["content-type"] = "application/json";
  return { url: BASE + (query.size ? `${path}?${query}` : path), headers, body: text?.value };
}

async function ask(each, inputs, form, text, out, signal) {
  const { url, headers, body } = requestOf(each, inputs, text);
  const fields = form.length ? new FormData() : null;
  for (const { name, input } of form) {
    if (input.files?.length) for (const file of input.files) fields.append(name, file);
    else if (input.type !== "file" && input.value) fields.append(name, input.value);
  }
  const begun = performance.now();
  out.replaceChildren(el("span.quiet", {}, "Waiting…"));
  try {
    const answer = await fetch(url, { method: each.method.toUpperCase(), headers, body: fields ?? body, signal });
    const status = el("p", {}, el("span", { class: `status ${answer.ok ? "good" : "bad"}` }, `${answer.status} ${answer.statusText}`), " ",
      el("span.quiet", {}, `${Math.round(performance.now() - begun)} ms`));
    const rows = [...answer.headers].filter(([name]) => SHOWN_HEADERS.test(name)).map(([name, value]) =>
      el("tr", {}, el("td", {}, el("span.name", {}, name)), el("td", {}, value)));
    const place = el("pre", { tabindex: "0" });
    out.replaceChildren(status, el("table", {}, el("tbody", {}, rows)), place);
    await show(answer, place);
  } catch (error) {
    out.append(el("p.status.bad", {}, error.name === "AbortError" ? "Stopped." : `No response: ${error.message}`));
  }
}

/** Show a body as it arrives: audio as a player, complete JSON indented. */
async function show(answer, place) {
  const kind = answer.headers.get("content-type") ?? "";
  if (kind.startsWith("audio/")) {
    place.replaceWith(el("audio", { controls: true, src: URL.createObjectURL(await answer.blob()) }));
    return;
  }
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let next = await reader?.read(); next && !next.done; next = await reader.read()) {
    text += next.value;
    place.textContent = text;
    place.scrollTop = place.scrollHeight;
  }
  if (kind.startsWith("application/json") && text.length < 1e6) {
    try {
      place.textContent = JSON.stringify(JSON.parse(text), null, 2);
      place.scrollTop = 0;
    } catch { /* not JSON: shown unchanged */ }
  }
}

function copyCurl(each, inputs, text) {
  const { url, headers, body } = requestOf(each, inputs, text);
  const quoted = (words) => `'${words.replaceAll("'", `'\\''`)}'`;
  const hidden = Object.entries(headers).map(([name, value]) => [name, name === "authorization" ? "Bearer $INTELLIROUTER_API_KEY" : value]);
  const parts = [`curl ${quoted(url)}`, ...(each.method === "get" || body ? [] : [`-X ${each.method.toUpperCase()}`]),
    ...hidden.map(([name, value]) => (name === "authorization" ? `-H "${name}: ${value}"` : `-H ${quoted(`${name}: ${value}`)}`)), ...(body ? [`-d ${quoted(body)}`] : [])];
  navigator.clipboard?.writeText(parts.join(" \\\n  "));
}

// -- start ------------------------------------------------------------------------------------------------------------

try {
  api = await (await fetch(`${BASE}/openapi.json`)).json();
  $("version").textContent = api.info.version;
  $("filter").addEventListener("input", drawList);
  window.addEventListener("hashchange", draw);
  drawList();
  draw();
} catch (error) {
  $("main").replaceChildren(el("p.status.bad", {}, `The API description could not be loaded: ${error.message}`));
}
