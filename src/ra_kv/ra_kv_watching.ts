/**
 * A watch as an application iterates it: a series of operations, each of which
 * waits at a member for the next events.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { keyText } from "../kv/key_limits.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import { ChangeKind } from "./change_log.ts";
import { present, valueOf } from "./ra_kv_answers.ts";
import type { RaKvEvent, RaKvWatchOptions } from "./ra_kv_api.ts";
import {
  RaKvOperation,
  readWatchAnswer,
  type WatchAnswer,
  WatchFlag,
  writeWatchBody,
} from "./ra_kv_codec.ts";
import { RA_KV_KEY_BYTES_MAX } from "./ra_kv_command_codec.ts";
import { submit, TIMEOUT_MS } from "./ra_kv_submission.ts";

/** Time a watch operation waits at a member, in milliseconds. */
const WATCH_WAIT_MS = 20_000;
const encoder = new TextEncoder();

/** Yields the events of the watched keys for as long as it is iterated. */
export async function* watch(
  carrier: () => OperationCarrier,
  cluster: string,
  options: RaKvWatchOptions,
): AsyncIterableIterator<RaKvEvent> {
  const { key, prefix, after, values = true, signal } = options;
  if ((key === undefined) === (prefix === undefined)) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot watch as either 'key' or 'prefix' must be given",
    );
  }
  const watched = watchedBytes(key ?? prefix as string, key === undefined);
  const flags = (key === undefined ? WatchFlag.prefix : 0) |
    (values ? 0 : WatchFlag.keysOnly);
  let seen = after;
  for (;;) {
    let answer: WatchAnswer;
    try {
      answer = await submit(
        carrier,
        cluster,
        RaKvOperation.watch,
        { signal, timeoutMs: WATCH_WAIT_MS + TIMEOUT_MS },
        (into) =>
          writeWatchBody(into, {
            flags: seen === undefined ? flags | WatchFlag.fromNow : flags,
            index: seen ?? 0,
            waitMs: WATCH_WAIT_MS,
            key: watched,
          }),
        (object) => readWatchAnswer(new ByteReader(present(object))),
      );
    } catch (error) {
      // Nobody could be reached for a while: events of that time are reported
      // later.
      if (isWhorlError(error, "timeout") && seen !== undefined) continue;
      throw error;
    }
    const { next, missed, events } = answer;
    if (seen === undefined) yield { type: "watching", index: next };
    else if (missed) yield { type: "missed", index: next };
    for (const event of events) yield eventOf(event);
    seen = next;
  }
}

function watchedBytes(text: string, isPrefix: boolean): Uint8Array {
  const bytes = encoder.encode(text);
  if (
    !text.isWellFormed() || bytes.length > RA_KV_KEY_BYTES_MAX ||
    bytes.length === 0 && !isPrefix
  ) {
    throw new WhorlError(
      "invalid_key",
      `Cannot watch keys as they must be well-formed text of 1 to ${RA_KV_KEY_BYTES_MAX} bytes`,
    );
  }
  return bytes;
}

function eventOf(
  { kind, index, key, value }: WatchAnswer["events"][number],
): RaKvEvent {
  const text = keyText(key);
  switch (kind) {
    case ChangeKind.put:
      return {
        type: "put",
        key: text,
        index,
        value: value === undefined ? undefined : valueOf(value),
      };
    case ChangeKind.delete:
      return { type: "delete", key: text, index };
    case ChangeKind.expire:
      return { type: "expire", key: text, index };
    default:
      return kind satisfies never;
  }
}
