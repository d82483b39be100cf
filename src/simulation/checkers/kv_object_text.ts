/**
 * Stored objects of `kv` as text, and their single versions, for messages and
 * checkers.
 *
 * @module
 */
import {
  ACTOR_BYTES,
  checkObject,
  ENTRY_BYTES,
  entryCount,
  OBJECT_HEADER_BYTES,
  readSiblings,
  readU16,
  readU48,
  type Sibling,
  SiblingFlag,
} from "../../kv/kv_object_codec.ts";

/** A live version of an object, with its dot. */
export interface DottedSibling {
  /** The actor as hex. */
  readonly actor: string;
  /** The counter. */
  readonly counter: number;
  /** The version. */
  readonly sibling: Sibling;
}

/** Characters of a value that are shown. */
const SHOWN_MAX = 40;
/**
 * Hex digits of an actor that are shown: enough to distinguish those of one
 * run.
 */
const ACTOR_SHOWN = 8;

/**
 * The live versions of an object.
 *
 * @throws {WhorlError} `protocol_error` or `store_format` if `object` is not a
 * `kv` object.
 */
export function dottedSiblings(object: Uint8Array): DottedSibling[] {
  checkObject(object);
  const siblings = readSiblings(object);
  const dotted: DottedSibling[] = [];
  for (const { actor, counter, alive } of entriesOf(object)) {
    for (let i = 0; i < alive; i++) {
      dotted.push({
        actor,
        counter: counter - i,
        sibling: siblings[dotted.length] as Sibling,
      });
    }
  }
  return dotted;
}

/**
 * An object as text: its values with their dots, and its counter for each
 * actor.
 *
 * @throws {WhorlError} `protocol_error` or `store_format` if `object` is not a
 * `kv` object.
 */
export function describeKvObject(object: Uint8Array): string {
  const values = dottedSiblings(object).map(({ actor, counter, sibling }) =>
    `${valueText(sibling)} of ${actor.slice(0, ACTOR_SHOWN)}:${counter}`
  );
  const known = entriesOf(object).map(({ actor, counter }) =>
    `${actor.slice(0, ACTOR_SHOWN)}:${counter}`
  );
  return `{${values.join(", ")}} knowing ${known.join(" ") || "nothing"}`;
}

interface ActorEntry {
  readonly actor: string;
  readonly counter: number;
  /** How many of its newest versions are alive. */
  readonly alive: number;
}

function entriesOf(object: Uint8Array): ActorEntry[] {
  return Array.from({ length: entryCount(object) }, (_, i) => {
    const at = OBJECT_HEADER_BYTES + i * ENTRY_BYTES;
    return {
      actor: object.subarray(at, at + ACTOR_BYTES).toHex(),
      counter: readU48(object, at + ACTOR_BYTES),
      alive: readU16(object, at + ACTOR_BYTES + 6),
    };
  });
}

function valueText({ flags, value }: Sibling): string {
  if (flags & SiblingFlag.tombstone) return "a tombstone";
  const text = flags & SiblingFlag.json
    ? new TextDecoder().decode(value)
    : value.subarray(0, SHOWN_MAX).toHex();
  return text.length > SHOWN_MAX
    ? `${text.slice(0, SHOWN_MAX)}… (${value.length} bytes)`
    : text;
}
