// The official `openai` package for Node: the responses API.
import assert from "node:assert/strict";

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { check, collect, PARIS_AND_OSLO, run, until, WEATHER_SCHEMA } from "../checks.mjs";

const WEATHER = { type: "function", name: "weather", parameters: WEATHER_SCHEMA, strict: false };
const Person = z.object({ name: z.string(), age: z.number().int() });

function client(one, settings = {}) {
  return new OpenAI({ baseURL: one.baseURL, apiKey: one.key, maxRetries: 0, timeout: 10_000, ...settings });
}

check("text_is_answered", async (one) => {
  const answer = await client(one).responses.create({ model: one.model, input: "hello", store: false });
  assert.equal(answer.output_text, "mock-large: hello");
  assert.equal(answer.status, "completed");
  assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
});

check("stream_is_put_together", async (one) => {
  const stream = client(one).responses.stream({ model: one.magic("gen-400"), input: "go", store: false });
  const events = await collect(stream);
  const final = await stream.finalResponse();
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.ok(deltas.length > 100);
  assert.equal(deltas.map((event) => event.delta).join(""), final.output_text);
  events.forEach((event, at) => assert.equal(event.sequence_number, at));
});

check("tools_are_called_and_results_go_back", async (one) => {
  const ask = { model: one.model, tools: [WEATHER], store: false };
  const first = await client(one).responses.create({ ...ask, input: PARIS_AND_OSLO });
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).city), ["Paris", "Oslo"]);
  const results = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" }));
  const input = [{ role: "user", content: PARIS_AND_OSLO }, ...first.output, ...results];
  assert.match((await client(one).responses.create({ ...ask, input })).output_text, /sunny/);
});

check("structured_output_is_parsed", async (one) => {
  const answer = await client(one).responses.parse({
    model: one.model,
    input: "a person",
    text: { format: zodTextFormat(Person, "person") },
    store: false,
  });
  Person.parse(answer.output_parsed);
});

check("stored_responses_go_on", async (one) => {
  const first = await client(one).responses.create({ model: one.model, input: "my name is Ann" });
  assert.equal((await client(one).responses.retrieve(first.id)).output_text, first.output_text);
  const ask = { model: one.model, input: "and now?", previous_response_id: first.id };
  assert.equal((await client(one).responses.create(ask)).output_text, "mock-large: and now?");
  await client(one).responses.delete(first.id);
  await assert.rejects(client(one).responses.retrieve(first.id), OpenAI.NotFoundError);
});

check("errors_have_their_classes", async (one) => {
  const create = (model) => client(one).responses.create({ model, input: "hello", store: false });
  await assert.rejects(create("never-heard-of"), OpenAI.NotFoundError);
  await assert.rejects(create(one.magic("error-400")), OpenAI.BadRequestError);
  await assert.rejects(create(one.magic("error-429")), OpenAI.RateLimitError);
});

check("leaving_a_stream_cancels_the_upstream", async (one) => {
  const ask = { model: one.magic("dripping"), input: "word ".repeat(500), stream: true, store: false };
  for await (const event of await client(one).responses.create(ask)) {
    if (event.type === "response.output_text.delta") break;
  }
  await until(async () => (await one.requests("dripping")).at(-1).is_aborted, "the upstream's stream is given up");
});

await run();
