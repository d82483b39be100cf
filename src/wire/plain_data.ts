/**
 * Validates decoded data: what comes from a peer or from disk is checked field
 * by field, and refused with an error where it is wrong, never by an assertion.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** The error for a value that breaks `rule`. */
function refuse(what: string, rule: string, value: unknown): WhorlError {
  const kind = value === null
    ? "null"
    : Array.isArray(value)
    ? `a list of ${value.length}`
    : typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : `a ${typeof value}`;
  return new WhorlError(
    "protocol_error",
    `Cannot accept ${what} as it must be ${rule}: current value is ${kind}`,
  );
}

/** `value` as a list of `lengthMin` to `lengthMax` elements. @throws {WhorlError} `protocol_error`. */
export function expectList(
  value: unknown,
  what: string,
  lengthMin = 0,
  lengthMax = Infinity,
): readonly unknown[] {
  if (
    !Array.isArray(value) || value.length < lengthMin ||
    value.length > lengthMax
  ) {
    throw refuse(
      what,
      lengthMin === lengthMax
        ? `a list of ${lengthMin}`
        : `a list of ${lengthMin} to ${lengthMax}`,
      value,
    );
  }
  return value;
}

/** `value` as a whole number from `min` to `max`. @throws {WhorlError} `protocol_error`. */
export function expectInteger(
  value: unknown,
  what: string,
  min = 0,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (
    typeof value !== "number" || !Number.isInteger(value) || value < min ||
    value > max
  ) {
    throw refuse(what, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

/** `value` as a text of at most `lengthMax` UTF-16 units. @throws {WhorlError} `protocol_error`. */
export function expectText(
  value: unknown,
  what: string,
  lengthMax = 255,
  lengthMin = 0,
): string {
  if (
    typeof value !== "string" || value.length > lengthMax ||
    value.length < lengthMin
  ) {
    throw refuse(what, `a text of ${lengthMin} to ${lengthMax} units`, value);
  }
  return value;
}

/** `value` as one of `choices`. @throws {WhorlError} `protocol_error`. */
export function expectOneOf<T extends string>(
  value: unknown,
  what: string,
  choices: readonly T[],
): T {
  if (!(choices as readonly unknown[]).includes(value)) {
    throw refuse(what, `one of ${choices.join(", ")}`, value);
  }
  return value as T;
}

/** `value` as true or false. @throws {WhorlError} `protocol_error`. */
export function expectBoolean(value: unknown, what: string): boolean {
  if (typeof value !== "boolean") throw refuse(what, "true or false", value);
  return value;
}

/** `value` as bytes, `length` of them if it is given. @throws {WhorlError} `protocol_error`. */
export function expectBytes(
  value: unknown,
  what: string,
  length?: number,
): Uint8Array {
  if (
    !(value instanceof Uint8Array) ||
    length !== undefined && value.length !== length
  ) {
    throw refuse(
      what,
      length === undefined ? "bytes" : `${length} bytes`,
      value,
    );
  }
  return value;
}
