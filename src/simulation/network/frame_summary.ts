/**
 * What stands in the bytes of a stream, in words: which frames begin in a piece
 * of it, and of which one it is the rest. Only traces need it, so it follows a
 * stream from its first byte and is content with whatever it finds. Behind the
 * last frame of a handshake it looks for frames in records; whether those are
 * good is for the link to say.
 *
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

/** The length, then the type. */
const TYPE_AT = 4;
/** Bytes of a Raft message that are enough to say what it is about. */
const RAFT_BYTES_MAX = 64;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(FrameType).map(([name, type]) => [type, name]),
);

/** Follows one direction of a stream. */
export class FrameSummary {
  /** Length and type of the frame that begins, as far as they have come. */
  readonly #head = new Uint8Array(TYPE_AT + 1);
  #headBytes = 0;
  /** Bytes that the current frame still lacks. */
  #lacking = 0;
  #name = "";
  /** The beginning of a Raft message, while all of it is expected in this piece. */
  readonly #raft = new Uint8Array(RAFT_BYTES_MAX);
  #raftBytes = -1;
  /** Header of the record that begins, as far as it has come. */
  readonly #recordHead = new Uint8Array(RECORD_HEADER_BYTES);
  #recordHeadBytes = 0;
  /** Bytes that the current record still lacks; without end in a handshake, which stands in none. */
  #recordLacking = Infinity;
  /** Whether what came cannot be frames. */
  #foreign = false;

  /** What the next piece of the stream holds: `2 vnodeRequest, ping, 214 bytes`. */
  describe(bytes: Uint8Array): string {
    const counts = new Map<string, number>();
    const parts: string[] = [];
    let at = 0;
    /** Whether all of the piece so far belongs to a frame that began before it. */
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

  /** Counts a Raft message by what it says, as far as it has come with this piece. */
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
    // The last of the handshake in its direction: what follows is the link's.
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
