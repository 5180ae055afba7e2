// The Vercel AI SDK through `openai()`: the responses API.
import { createOpenAI } from "@ai-sdk/openai";

import { speak } from "./shared.mjs";

await speak((one, name) => createOpenAI({ baseURL: one.baseURL, apiKey: one.key }).responses(name));
