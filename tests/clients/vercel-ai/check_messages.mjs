// The Vercel AI SDK through its provider for Anthropic: the messages API.
import { createAnthropic } from "@ai-sdk/anthropic";

import { speak } from "./shared.mjs";

await speak((one, name) => createAnthropic({ baseURL: one.baseURL, apiKey: one.key })(name));
