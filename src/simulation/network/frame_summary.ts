/**
 * The bytes of a stream in words: which frames begin in a chunk, and which
 * frame it continues. Only traces need this, so it follows a stream from its
 * first byte and accepts whatever it finds. After the last frame of a handshake
 * it expects frames in records; whether those are valid is for the link to
 * check.
 * @module
 */
import { isWhorlError } from "../../base/errors.ts";
import {
  announcedFrameBytes,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
} from "../../wire/frame.ts";
import { describeRaftFrame } from "./raft_frame_words.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { RECORD_HEADER_BYTES, recordLength } from "../../wire/record.ts";

/** After the length. */
const TYPE_AT = 4;
/** Bytes of a Raft message that are enough to describe it. */
const RAFT_BYTES_MAX = 64;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(FrameType).map(([name, type]) => [type, name]),
);

/** Follows one direction of a stream. */
export class FrameSummary {
  /** Length and type of the frame that begins, as far as they have arrived. */
  readonly #head = new Uint8Array(TYPE_AT + 1);
  #headBytes = 0;
  /** Bytes missing of the current frame. */
  #lacking = 0;
  #name = "";
  /**
   * The beginning of a Raft message, while all of it is expected in this chunk.
   */
  readonly #raft = new Uint8Array(RAFT_BYTES_MAX);
  #raftBytes = -1;
  /** Header of the record that begins, as far as it has arrived. */
  readonly #recordHead = new Uint8Array(RECORD_HEADER_BYTES);
  #recordHeadBytes = 0;
  /**
   * Bytes missing of the current record; infinite during a handshake, which has
   * no records.
   */
  #recordLacking = Infinity;
  /** Whether the bytes cannot be frames. */
  #foreign = false;

  /**
   * Describes the next chunk of the stream: `2 vnodeRequest, ping, 214 bytes`.
   */
  describe(bytes: Uint8Array): string {
    const counts = new Map<string, number>();
    const parts: string[] = [];
    let at = 0;
    /** Whether all of the chunk so far continues an earlier frame. */
    let continues = this.#lacking > 0;
    while (at < bytes.length && !this.#foreign) {
      if (this.#recordLacking === 0) {
        this.#recordHead[this.#recordHeadBytes++] = bytes[at++] as number;
        if (this.#recordHeadBytes === RECORD_HEADER_BYTES) this.#beginRecord();
        continue;
      }
      if (this.#lacking > 0) {
        const count = Math.min(
          this.#lacking,
          this.#recordLacking,
          bytes.length - at,
        );
        this.#keep(bytes.subarray(at, at + count));
        this.#recordLacking -= count;
        this.#lacking -= count;
        at += count;
        if (this.#lacking === 0 && continues) {
          parts.push(`rest of ${this.#name}`);
          continues = false;
        }
        if (this.#lacking === 0) {
          this.#count(counts);
          this.#frameEnds();
        }
        continue;
      }
      this.#head[this.#headBytes++] = bytes[at++] as number;
      this.#recordLacking--;
      if (this.#headBytes <= TYPE_AT) continue;
      this.#headBytes = 0;
      this.#begin();
      if (!this.#foreign && this.#raftBytes < 0) {
        counts.set(this.#name, (counts.get(this.#name) ?? 0) + 1);
      }
    }
    this.#count(counts);
    if (continues && !this.#foreign) parts.push(`more of ${this.#name}`);
    for (const [name, count] of counts) {
      parts.push(count === 1 ? name : `${count} ${name}`);
    }
    parts.push(bytes.length === 1 ? "1 byte" : `${bytes.length} bytes`);
    return parts.join(", ");
  }

  /** Keeps the beginning of a Raft message. */
  #keep(bytes: Uint8Array): void {
    if (this.#raftBytes < 0) return;
    const left = bytes.subarray(0, RAFT_BYTES_MAX - this.#raftBytes);
    this.#raft.set(left, this.#raftBytes);
    this.#raftBytes += left.length;
  }

  /**
   * Counts a Raft message by its description, as far as it is in this chunk.
   */
  #count(counts: Map<string, number>): void {
    if (this.#raftBytes < 0) return;
    const name = describeRaftFrame(
      this.#raft.subarray(FRAME_HEADER_BYTES - TYPE_AT - 1, this.#raftBytes),
    ) ?? this.#name;
    this.#raftBytes = -1;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  #begin(): void {
    const whole = announcedFrameBytes(this.#head, 0, this.#head.length) ?? 0;
    const type = this.#head[TYPE_AT] as number;
    this.#name = NAMES.get(type) ?? `frame of type ${type}`;
    this.#lacking = whole - this.#head.length;
    this.#raftBytes = type === FrameType.raftMessage ? 0 : -1;
    this.#foreign = whole < FRAME_HEADER_BYTES ||
      whole - TYPE_AT > FRAME_BYTES_MAX;
  }

  #frameEnds(): void {
    const type = this.#head[TYPE_AT];
    if (type !== FrameType.proof && type !== FrameType.welcome) return;
    // The last handshake frame in its direction: records of the link follow.
    if (this.#recordLacking === Infinity) this.#recordLacking = 0;
  }

  #beginRecord(): void {
    this.#recordHeadBytes = 0;
    try {
      this.#recordLacking = recordLength(
        this.#recordHead,
        0,
        RECORD_HEADER_BYTES,
      ) as number;
    } catch (error) {
      if (!isWhorlError(error, "protocol_error")) throw error;
      this.#foreign = true;
    }
  }
}
