/**
 * tanodb over HTTP, with JSON:
 *
 *     GET    /ping                 the partition of some vnode
 *     GET    /metrics              what the node has counted
 *     GET    /store/:bucket        the keys of a bucket
 *     GET    /store/:bucket/:key   a value: 200, or 404
 *     POST   /store/:bucket/:key   writes it: 204
 *     DELETE /store/:bucket/:key   deletes it: 204, or 404 if there was none
 *
 * What fails answers `{ type, reason }`: 400, 404, 405, 413 and 415 for what
 * the caller can do better, 503 for what may go well in a moment.
 *
 * @module
 */
import {
  type ErrorCode,
  type JsonValue,
  partitionIndex,
  type WhorlNode,
} from "../../mod.ts";
import { errorResponse, HttpError } from "../http_error.ts";
import {
  allowMethods,
  decodedSegment,
  notFound,
  parsedBody,
  requireJson,
} from "../http_request.ts";
import type { Tanodb } from "./tanodb.ts";
import type { TanodbMetrics } from "./tanodb_metrics.ts";

/** Longest body, in bytes. */
export const BODY_BYTES_MAX = 1024 * 1024;

/** What requests are answered from. */
export interface TanodbHttp {
  readonly tanodb: Tanodb;
  readonly node: WhorlNode;
  readonly metrics: TanodbMetrics;
}

/** What a request is about. */
type Resource =
  | { readonly endpoint: "ping" | "metrics" | "unknown" }
  | { readonly endpoint: "bucket"; readonly bucket: string }
  | { readonly endpoint: "key"; readonly bucket: string; readonly key: string };

/** Serves `http`; port 0 takes a free one. */
export function serveTanodb(
  http: TanodbHttp,
  options: { readonly hostname: string; readonly port: number },
): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { ...options, onListen: () => {} },
    (request) => answer(http, request),
  );
}

async function answer(http: TanodbHttp, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const segments = pathname.split("/").slice(1);
  const end = http.metrics.beginRequest(endpointOf(segments));
  let response: Response;
  try {
    response = await respond(http, request, resourceAt(segments));
  } catch (cause) {
    response = errorResponse(cause, REFUSALS);
  }
  end(response.status);
  return response;
}

/** Which kind of resource that is, in a word. */
function endpointOf(
  [first, bucket, key, ...rest]: readonly string[],
): Resource["endpoint"] {
  if (rest.length > 0) return "unknown";
  if (first === "store" && bucket) {
    if (key === undefined) return "bucket";
    return key === "" ? "unknown" : "key";
  }
  const known = first === "ping" || first === "metrics";
  return known && bucket === undefined ? first : "unknown";
}

function resourceAt(segments: readonly string[]): Resource {
  const endpoint = endpointOf(segments);
  const [, bucket = "", key = ""] = segments.map(decodedSegment);
  return { endpoint, bucket, key };
}

async function respond(
  http: TanodbHttp,
  request: Request,
  resource: Resource,
): Promise<Response> {
  const { method } = request;
  const { tanodb, node } = http;
  switch (resource.endpoint) {
    case "unknown":
      throw notFound("There is nothing here");
    case "ping": {
      allowMethods(request, ["GET"]);
      const { pong } = await tanodb.ping();
      const index = partitionIndex(pong, node.info().ringSize);
      return Response.json({ pong: String(index) });
    }
    case "metrics":
      allowMethods(request, ["GET"]);
      return Response.json(await metricsOf(http));
    case "bucket": {
      allowMethods(request, ["GET", "POST", "DELETE"]);
      // A bucket is where keys are: it can be neither written nor deleted.
      if (method !== "GET") throw notFound("There is no key in the path");
      return Response.json(await keysOf(tanodb, resource.bucket));
    }
    case "key": {
      allowMethods(request, ["GET", "POST", "DELETE"]);
      const { bucket, key } = resource;
      if (method === "POST") {
        const value = await bodyOf(request);
        await tanodb.put(bucket, key, value);
        return new Response(null, { status: 204 });
      }
      if (method === "DELETE") {
        const { replies } = await tanodb.delete(bucket, key);
        if (replies.some(({ status }) => status === "found")) {
          return new Response(null, { status: 204 });
        }
      } else {
        const row = await tanodb.get(bucket, key);
        if (row.status === "found") return Response.json(row.value);
      }
      throw notFound("There is no such key");
    }
    default:
      return resource satisfies never;
  }
}

/** Each key of a bucket once, in order. */
async function keysOf(tanodb: Tanodb, bucket: string): Promise<string[]> {
  const { rows, missing, complete } = await tanodb.keys(bucket);
  if (!complete) {
    throw new HttpError(
      503,
      "partial",
      `Cannot list all keys as ${missing.length} vnodes have not answered`,
    );
  }
  return [...new Set(rows.flatMap(({ keys }) => keys))].sort();
}

async function metricsOf({ node, metrics }: TanodbHttp): Promise<unknown> {
  const { node: name, version, uptimeMs, ringSize, storage } = node.info();
  const { values } = await node.stats();
  return {
    tanodb: { node: name, version, uptimeMs, ringSize, storage },
    http: metrics.http(),
    node: values,
    core: metrics.core(),
  };
}

async function bodyOf(request: Request): Promise<JsonValue> {
  requireJson(request);
  return parsedBody(await bytesOf(request.body)) as JsonValue;
}

async function bytesOf(
  body: ReadableStream<Uint8Array> | null,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > BODY_BYTES_MAX) {
      throw new HttpError(
        413,
        "too-large",
        `Cannot take a body of more than ${BODY_BYTES_MAX} bytes`,
      );
    }
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** Failures that say that the request itself is wrong. */
export const REFUSALS: readonly ErrorCode[] = [
  "invalid_argument",
  "invalid_key",
  "value_too_large",
  "frame_too_large",
];
