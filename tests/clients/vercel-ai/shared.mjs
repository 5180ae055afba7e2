// What is asked of the Vercel AI SDK whichever provider it uses: the scripts say which by `speak`.
import assert from "node:assert/strict";

import { APICallError, generateText, isStepCount, Output, RetryError, streamText, tool } from "ai";
import { z } from "zod";

import { check, collect, PARIS_AND_OSLO, RED_PIXEL, run, until } from "../checks.mjs";

const Person = z.object({ name: z.string(), age: z.number().int() });
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
let make;
let providerOptions;

/** Runs all checks with models that `makeModel(one, name)` makes; `forObjects`: provider options of structured output. */
export async function speak(makeModel, forObjects = {}) {
  make = makeModel;
  providerOptions = forObjects;
  await run();
}

const model = (one, magic) => make(one, magic ? one.magic(magic) : one.model);
const settings = { maxRetries: 0, maxOutputTokens: 2000 };

check("text_and_usage", async (one) => {
  const answer = await generateText({ ...settings, model: model(one), system: "be brief", prompt: "hello" });
  assert.equal(answer.text, "mock-large: hello");
  assert.equal(answer.finishReason, "stop");
  assert.ok(answer.usage.inputTokens > 0);
  assert.ok(answer.usage.outputTokens > 0);
});

check("text_streams", async (one) => {
  const answer = streamText({ ...settings, model: model(one, "gen-400"), prompt: "hello" });
  const pieces = await collect(answer.textStream);
  assert.ok(pieces.length > 100, `${pieces.length} pieces`);
  assert.equal((await answer.usage).outputTokens, 400);
  assert.equal(await answer.finishReason, "stop");
});

check("silent_stream_is_complete", async (one) => {
  const answer = streamText({ ...settings, model: model(one, "pausing"), prompt: "one two" });
  assert.equal((await collect(answer.textStream)).join(""), "pausing: one two");
  assert.equal(await answer.finishReason, "stop");
});

check("length_is_told", async (one) => {
  const answer = await generateText({ ...settings, model: model(one, "gen-400"), prompt: "go", maxOutputTokens: 20 });
  assert.equal(answer.finishReason, "length");
});

check("tools_run_and_results_go_back", async (one) => {
  const answer = await generateText({
    ...settings,
    model: model(one),
    prompt: PARIS_AND_OSLO,
    tools: { weather },
    stopWhen: isStepCount(3),
  });
  assert.equal(answer.steps[0].finishReason, "tool-calls");
  assert.deepEqual(answer.steps[0].toolResults.map((result) => result.output), ["sunny in Paris", "sunny in Oslo"]);
  assert.match(answer.text, /sunny in/);
});

check("tools_in_a_stream", async (one) => {
  const answer = streamText({
    ...settings,
    model: model(one),
    prompt: PARIS_AND_OSLO,
    tools: { weather },
    stopWhen: isStepCount(3),
  });
  const parts = await collect(answer.fullStream);
  assert.deepEqual(parts.filter((part) => part.type === "error"), []);
  const results = parts.filter((part) => part.type === "tool-result").map((part) => part.output);
  assert.deepEqual(results, ["sunny in Paris", "sunny in Oslo"]);
  assert.match(await answer.text, /sunny in/);
});

check("tool_choice_required", { without: ["via-ollama"] }, async (one) => {
  const answer = await generateText({
    ...settings,
    model: model(one),
    prompt: "hello",
    tools: { weather },
    toolChoice: "required",
  });
  assert.equal(answer.toolCalls[0].toolName, "weather");
});

check("structured_output", async (one) => {
  const answer = await generateText({
    ...settings,
    model: model(one),
    prompt: "a person",
    output: Output.object({ schema: Person }),
    providerOptions,
  });
  Person.parse(answer.output);
});

check("structured_output_streams", async (one) => {
  const answer = streamText({
    ...settings,
    model: model(one),
    prompt: "a person",
    output: Output.object({ schema: Person }),
    providerOptions,
  });
  Person.parse((await collect(answer.partialOutputStream)).at(-1));
});

check("pictures", async (one) => {
  const content = [
    { type: "text", text: "what is this?" },
    { type: "image", image: RED_PIXEL, mediaType: "image/png" },
  ];
  const answer = await generateText({ ...settings, model: model(one), messages: [{ role: "user", content }] });
  assert.match(answer.text, /^mock-large: what is this\?/);
});

check("errors_have_their_status", async (one) => {
  const cases = [
    ["no-such-model", [404], false],
    ["error-400", [400], false],
    ["error-429", [429], true],
    ["error-503", [503, 529], true],
  ];
  for (const [magic, statuses, isRetryable] of cases) {
    await assert.rejects(generateText({ ...settings, model: model(one, magic), prompt: "hello" }), (error) => {
      assert.ok(APICallError.isInstance(error), `${magic}: ${error}`);
      assert.ok(statuses.includes(error.statusCode), `${magic}: ${error.statusCode}`);
      assert.equal(error.isRetryable, isRetryable, magic);
      assert.ok(error.message);
      return true;
    });
  }
});

check("server_errors_are_retried", async (one) => {
  const flaky = { ...settings, maxRetries: 1, model: model(one, "error-429"), prompt: "hello" };
  const before = (await one.requests("error-429")).length;
  await assert.rejects(generateText(flaky), (error) => RetryError.isInstance(error));
  assert.equal((await one.requests("error-429")).length - before, 2);
});

check("broken_stream_is_an_error", async (one) => {
  const errors = [];
  const answer = streamText({
    ...settings,
    model: model(one, "drop"),
    prompt: "a b c d e f g h i j",
    onError: ({ error }) => errors.push(error),
  });
  await collect(answer.fullStream).catch((error) => errors.push(error));
  assert.ok(errors.length > 0);
});

check("abort_cancels_the_upstream", async (one) => {
  const leaving = new AbortController();
  const answer = streamText({
    ...settings,
    model: model(one, "dripping"),
    prompt: "word ".repeat(500),
    abortSignal: leaving.signal,
  });
  for await (const piece of answer.textStream) if (piece) break;
  leaving.abort();
  await until(async () => (await one.requests("dripping")).at(-1).is_aborted, "the upstream's stream is given up");
});
