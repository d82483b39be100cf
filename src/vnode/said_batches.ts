/**
 * The batches of a transfer that its source has said: they are numbered, counted
 * and summed, and kept until they are acknowledged, as they may have to be said
 * again.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import {
  beginBatch,
  nextHash,
  sealBatch,
  TOTAL_UNKNOWN,
  writeBatchHead,
} from "./handoff_codec.ts";

/** A batch that was said and not acknowledged. */
interface SaidBatch {
  readonly number: number;
  readonly answer: Uint8Array<ArrayBuffer>;
}

/** The batches of one source. */
export class SaidBatches {
  /** How many items there are in all; unknown until somebody has counted. */
  total = TOTAL_UNKNOWN;
  #said: SaidBatch[] = [];
  #repeat: SaidBatch[] = [];
  /** Who waits for an acknowledgement, by the number of the batch. */
  readonly #untilAcked: {
    readonly batch: number;
    readonly done: () => void;
  }[] = [];
  #number = 0;
  #items = 0;
  #bytes = 0;
  #hash = 0;

  /** The number of the last one. */
  get number(): number {
    return this.#number;
  }

  /** Whether some have to be said again. */
  get someRepeat(): boolean {
    return this.#repeat.length > 0;
  }

  /**
   * Numbers and seals `batch`, which has so many entries.
   *
   * @param byteCount Bytes of its entries, which may stand elsewhere.
   * @param done Called when it is acknowledged.
   */
  seal(
    batch: ByteWriter,
    entries: number,
    byteCount: number,
    done: Iterable<() => void>,
  ): void {
    this.#number++;
    this.#items += entries;
    this.#bytes += byteCount;
    this.#hash = nextHash(this.#hash, sealBatch(batch, this.#number, entries));
    for (const each of done) {
      this.#untilAcked.push({ batch: this.#number, done: each });
    }
  }

  /** What is said with a batch that was sealed, or, without one, with an empty one. */
  answer(
    progress: number,
    sealed: ByteWriter | undefined,
  ): Uint8Array<ArrayBuffer> {
    let batch = sealed;
    if (batch === undefined) {
      batch = new ByteWriter(64);
      beginBatch(batch);
      sealBatch(batch, this.#number, 0);
    }
    const answer = new ByteWriter(64 + batch.length);
    writeBatchHead(answer, {
      progress,
      items: this.#items,
      bytes: this.#bytes,
      hash: this.#hash,
      total: this.total,
    });
    answer.raw(batch.view());
    return answer.view();
  }

  /** Keeps `answer`, with the last batch, until that is acknowledged. @param heard Whether it was said to anybody. */
  keep(answer: Uint8Array<ArrayBuffer>, heard: boolean): void {
    const said = { number: this.#number, answer };
    this.#said.push(said);
    if (!heard) this.#repeat.push(said);
  }

  /** Whatever is not acknowledged has to be said again. */
  repeatAll(): void {
    this.#repeat = [...this.#said];
  }

  /** What is to be said again next; its progress is another by now. */
  again(): Uint8Array<ArrayBuffer> | undefined {
    return this.#repeat.shift()?.answer;
  }

  /** The target has all batches up to `number`. */
  acknowledged(number: number): void {
    while ((this.#said[0]?.number ?? Infinity) <= number) this.#said.shift();
    while ((this.#untilAcked[0]?.batch ?? Infinity) <= number) {
      this.#untilAcked.shift()?.done();
    }
  }

  /** Nobody waits any more. */
  end(): void {
    for (const { done } of this.#untilAcked.splice(0)) done();
  }
}
