/**
 * `flavio` over HTTP, with JSON:
 *
 *     GET  /ping                                   the partition of some vnode
 *     POST /msgs/:user/:topic  {"msg": "hi"}       appends a message, and answers with it
 *     GET  /msgs/:user/:topic?from=1&limit=10      messages; without `from` the last ones
 *
 * `limit` is 1 by default; a value that is not a number counts as not given.
 * Failures answer `{ type, reason }`: 400, 404, 405, 408, 413 and 415 for
 * errors of the caller, 503 for those that may pass.
 *
 * @module
 */
import { errorResponse, HttpError } from "../http_error.ts";
import {
  allowMethods,
  decodedSegment,
  invalidBody,
  notFound,
  parsedBody,
  requireJson,
} from "../http_request.ts";
import { type Flavio, mergedMessages } from "./flavio.ts";
import {
  byteCount,
  isName,
  type Message,
  MESSAGES_MAX,
  MSG_BYTES_MAX,
} from "./message.ts";

/** Longest body in bytes: the longest message, each byte of it escaped. */
export const BODY_BYTES_MAX: number = MSG_BYTES_MAX * 6 + 1024;
/** How long a body may take to arrive, in milliseconds. */
export const BODY_TIMEOUT_MS = 5_000;

/** Serves `flavio`; port 0 takes a free one. */
export function serveFlavio(
  flavio: Flavio,
  options: { readonly hostname: string; readonly port: number },
  bodyTimeoutMs = BODY_TIMEOUT_MS,
): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { ...options, onListen: () => {} },
    (request) => answer(flavio, request, bodyTimeoutMs),
  );
}

async function answer(
  flavio: Flavio,
  request: Request,
  bodyTimeoutMs: number,
): Promise<Response> {
  try {
    return Response.json(await respond(flavio, request, bodyTimeoutMs));
  } catch (cause) {
    return errorResponse(cause);
  }
}

async function respond(
  flavio: Flavio,
  request: Request,
  bodyTimeoutMs: number,
): Promise<unknown> {
  const { pathname, searchParams } = new URL(request.url);
  const [first, user, topic, ...rest] = pathname.split("/").slice(1)
    .map(decodedSegment);
  if (first === "ping" && user === undefined) {
    allowMethods(request, ["GET"]);
    return await flavio.ping();
  }
  if (first !== "msgs" || topic === undefined || rest.length > 0) {
    throw notFound("There is nothing here");
  }
  if (!isName(user) || !isName(topic)) {
    throw new HttpError(400, "invalid-name", "Cannot use a name like that");
  }
  allowMethods(request, ["GET", "POST"]);
  if (request.method === "POST") {
    const msg = await messageOf(request, bodyTimeoutMs);
    const { replies } = await flavio.postMsg(user, topic, msg);
    return shownMessage(replies[0]!.message);
  }
  const from = wholeIn(searchParams.get("from")) ?? null;
  const limit = wholeIn(searchParams.get("limit")) ?? 1;
  const count = Math.min(limit, MESSAGES_MAX);
  const { replies } = await flavio.getMsgs(user, topic, from, count);
  return mergedMessages(replies, from, count).map(shownMessage);
}

/** A message as the original shows it. */
function shownMessage({ id, lat, lng, date, ref, type, msg }: Message) {
  return { id, lat, lng, date, ref, type, msg };
}

/** A whole number of at least 1, or undefined. */
function wholeIn(text: string | null): number | undefined {
  if (text === null || !/^\d{1,15}$/.test(text)) return undefined;
  return Number(text) >= 1 ? Number(text) : undefined;
}

/** What is to be posted. */
async function messageOf(
  request: Request,
  timeoutMs: number,
): Promise<string> {
  requireJson(request);
  const body = parsedBody(await bytesOf(request.body, timeoutMs));
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidBody("it must be an object");
  }
  const { msg } = body as { msg?: unknown };
  if (typeof msg !== "string" || !msg.isWellFormed()) {
    throw new HttpError(400, "no-msg", "Cannot post as 'msg' must be a text");
  }
  if (byteCount(msg) > MSG_BYTES_MAX) throw tooLarge();
  return msg;
}

async function bytesOf(
  body: ReadableStream<Uint8Array> | null,
  timeoutMs: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(BODY_BYTES_MAX);
  let length = 0;
  const reader = (body ?? new Blob([]).stream()).getReader();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    // This also ends the pending read.
    reader.cancel().catch(() => {});
  }, timeoutMs);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (late) throw tooLate(timeoutMs);
      if (done) return bytes.subarray(0, length);
      if (length + value.length > BODY_BYTES_MAX) throw tooLarge();
      bytes.set(value, length);
      length += value.length;
    }
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(): HttpError {
  return new HttpError(
    413,
    "too-large",
    `Cannot post a message as it may have ${MSG_BYTES_MAX} bytes`,
  );
}

function tooLate(timeoutMs: number): HttpError {
  return new HttpError(
    408,
    "body-timeout",
    `Cannot take a body as it must come within ${timeoutMs} ms`,
  );
}
