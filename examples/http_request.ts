/**
 * Reading and refusing HTTP requests, shared by two examples.
 *
 * @module
 */
import { HttpError } from "./http_error.ts";

/** A path segment, decoded. @throws {HttpError} 400 `invalid-path` */
export function decodedSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    if (!(cause instanceof URIError)) throw cause;
    throw new HttpError(
      400,
      "invalid-path",
      `Cannot read '${segment}' as it must be UTF-8, percent-encoded`,
    );
  }
}

/** @throws {HttpError} 405 `method-not-allowed` unless the method is one of `methods`. */
export function allowMethods(
  { method }: Request,
  methods: readonly string[],
): void {
  if (methods.includes(method)) return;
  throw new HttpError(
    405,
    "method-not-allowed",
    `Cannot ${method} this: it takes ${methods.join(", ")}`,
    { allow: methods.join(", ") },
  );
}

/** @throws {HttpError} 415 `unsupported-media-type` unless the body is said to be JSON. */
export function requireJson({ headers }: Request): void {
  const type = headers.get("content-type") ?? "";
  if (type.split(";")[0]!.trim().toLowerCase() === "application/json") return;
  throw new HttpError(
    415,
    "unsupported-media-type",
    `Cannot take a body as it must be application/json: current value is '${type}'`,
  );
}

/** The JSON in a body. @throws {HttpError} 400 `invalid-body` */
export function parsedBody(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidBody((cause as Error).message);
  }
}

/** The error for a body that cannot be used. */
export function invalidBody(reason: string): HttpError {
  return new HttpError(
    400,
    "invalid-body",
    `Cannot read the body as JSON: ${reason}`,
  );
}

/** The error for an unknown path. */
export function notFound(message: string): HttpError {
  return new HttpError(404, "not-found", message);
}
