/**
 * A file on a simulated disk, and the handles of processes that opened it.
 *
 * @module
 */
import type { DiskFile, DiskReader } from "../../environment/disk.ts";
import { closedResourceError, fileError } from "./disk_failure.ts";
import type { DiskOperations } from "./disk_operation.ts";
import { FileContent } from "./file_content.ts";
import type { Inode } from "./folder.ts";

/** A file. */
export class SimulatedFile implements Inode {
  readonly type = "file";
  readonly content: FileContent;
  /** The handle that has locked it. */
  holder: OpenFile | undefined;

  constructor(content: FileContent = new FileContent()) {
    this.content = content;
  }

  get sizeBytes(): number {
    return this.content.length;
  }

  /** A copy of the file, synced. */
  copy(): SimulatedFile {
    return new SimulatedFile(this.content.copy());
  }
}

/** One handle of a file. */
export class OpenFile implements DiskFile {
  readonly #file: SimulatedFile;
  readonly #operations: DiskOperations;
  readonly #onClose: (file: OpenFile) => void;
  #written = 0;
  #open = true;

  /** @param onClose Called once, when its opener closes it. */
  constructor(
    file: SimulatedFile,
    operations: DiskOperations,
    onClose: (file: OpenFile) => void,
  ) {
    this.#file = file;
    this.#operations = operations;
    this.#onClose = onClose;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const offset = this.#written;
    this.#written += bytes.length;
    await this.#change(() => this.#put(bytes, offset));
  }

  writeAt(bytes: Uint8Array<ArrayBuffer>, offset: number): void {
    if (this.#operations.ended) return;
    if (!this.#open) throw closedResourceError();
    const { conditions } = this.#operations;
    conditions.counts.operations++;
    if (conditions.drawWriteError()) {
      if (conditions.drawDone()) this.#put(bytes, offset);
      throw fileError("EIO");
    }
    this.#put(bytes, offset);
  }

  #put(bytes: Uint8Array, offset: number): void {
    const { content } = this.#file;
    const { conditions } = this.#operations;
    if (conditions.full && offset + bytes.length > content.length) {
      conditions.counts.refusedFull++;
      throw fileError("ENOSPC");
    }
    content.write(bytes, offset);
    if (bytes.length > 0 && conditions.drawRot()) {
      content.flip(offset * 8 + conditions.faultChance.below(bytes.length * 8));
      conditions.counts.rottenBits++;
    }
  }

  truncate(length: number): Promise<void> {
    return this.#change(() => this.#file.content.truncate(length));
  }

  #change(act: () => void): Promise<void> {
    if (!this.#open) return Promise.reject(closedResourceError());
    const { conditions } = this.#operations;
    return this.#operations.perform({
      kind: "write",
      act,
      fail() {
        if (conditions.drawDone()) act();
        return fileError("EIO");
      },
    });
  }

  sync(): Promise<void> {
    if (!this.#open) return Promise.reject(closedResourceError());
    const { content } = this.#file;
    const { conditions } = this.#operations;
    const changes = content.changesMade;
    return this.#operations.perform({
      kind: "sync",
      act() {
        content.sync(changes);
        conditions.counts.syncs++;
      },
      fail() {
        if (conditions.drawDone()) content.sync(changes);
        else content.giveUp(changes);
        return fileError("EIO");
      },
    });
  }

  syncData(): Promise<void> {
    return this.sync();
  }

  tryLock(): Promise<boolean> {
    if (!this.#open) return Promise.reject(closedResourceError());
    const file = this.#file;
    return this.#operations.perform({
      kind: "read",
      act: () => {
        file.holder ??= this;
        return file.holder === this;
      },
      fail: () => fileError("EIO"),
    });
  }

  close(): void {
    if (!this.#open) throw closedResourceError();
    this.#onClose(this);
    this.abandon();
  }

  /** Releases it after the death of its opener. */
  abandon(): void {
    this.#open = false;
    if (this.#file.holder === this) this.#file.holder = undefined;
  }
}

/** A handle for reading. */
export class OpenReader implements DiskReader {
  readonly #file: SimulatedFile;
  readonly #operations: DiskOperations;
  readonly #onClose: (reader: OpenReader) => void;
  #open = true;

  /** @param onClose Called once, when its opener closes it. */
  constructor(
    file: SimulatedFile,
    operations: DiskOperations,
    onClose: (reader: OpenReader) => void,
  ) {
    this.#file = file;
    this.#operations = operations;
    this.#onClose = onClose;
  }

  readAt(into: Uint8Array<ArrayBuffer>, offset: number): Promise<number> {
    if (!this.#open) return Promise.reject(closedResourceError());
    const { conditions } = this.#operations;
    return this.#operations.perform({
      kind: "read",
      act: () => {
        if (conditions.drawReadError()) throw fileError("EIO");
        return this.#file.content.readAt(into, offset);
      },
      fail: () => fileError("EIO"),
    });
  }

  close(): void {
    if (!this.#open) throw closedResourceError();
    this.#onClose(this);
    this.#open = false;
  }

  /**
   * Releases it after the death of its opener: pending reads never complete.
   */
  abandon(): void {}
}
