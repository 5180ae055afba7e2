// What the checks of a Node client are written with; the twin of checks.py.
import { setTimeout as sleep } from "node:timers/promises";

export const CHECK_TIMEOUT_S = 30;
export const RED_PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
export const PARIS_AND_OSLO = 'call weather with {"city": "Paris"} and call weather with {"city": "Oslo"}';
export const WEATHER_SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

const checks = [];

/**
 * Add a check: `check("name", fn)`, `check("name", { only: ["via-openai"] }, fn)` or `{ without: ["via-ollama"] }`.
 * Names and lists are read without running the script.
 */
export function check(name, options, run) {
  checks.push(run ? { name, run, ...options } : { name, run: options });
}

class Case {
  constructor(upstream) {
    this.upstream = upstream;
    this.model = upstream;
    this.url = process.env.GATEWAY_URL;
    this.baseURL = `${this.url}/v1`;
    this.key = process.env.API_KEY;
  }

  /** The model of this upstream that behaves as the name says. */
  magic(name) {
    return `${this.upstream}-${name}`;
  }

  /** What the vendor got for this upstream and upstream model, oldest first. */
  async requests(model) {
    const answer = await fetch(`${process.env.VENDOR_URL}/_control/requests`);
    const isOurs = (got) => got.headers.some(([name, value]) => name === "x-upstream" && value === this.upstream);
    return (await answer.json()).requests.filter((got) => got.model === model && isOurs(got));
  }
}

/** The first true thing that `look` returns; fails when there is none in time. */
export async function until(look, what, timeoutS = 5) {
  const deadline = Date.now() + timeoutS * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutS} s`);
    await sleep(20);
  }
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

async function outcome(run, upstream) {
  const limit = new AbortController();
  const late = sleep(CHECK_TIMEOUT_S * 1000, undefined, { signal: limit.signal, ref: false }).then(() => {
    throw new Error(`the check took longer than ${CHECK_TIMEOUT_S} s`);
  });
  late.catch(() => {});
  try {
    await Promise.race([run(new Case(upstream)), late]);
    return null;
  } catch (error) {
    return String(error?.stack ?? error) + (error?.cause ? `\ncause: ${error.cause.stack ?? error.cause}` : "");
  } finally {
    limit.abort();
  }
}

/** Runs every check for each upstream of the environment; one line of JSON each. */
export async function run() {
  for (const upstream of process.env.UPSTREAMS.split(",")) {
    for (const { name, run, only, without } of checks) {
      if (without?.includes(upstream) || (only && !only.includes(upstream))) continue;
      const started = Date.now();
      const failure = await outcome(run, upstream);
      const line = { upstream, check: name, failure, seconds: (Date.now() - started) / 1000 };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
  }
  process.exit(0);
}
