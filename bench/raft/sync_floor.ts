/**
 * The least that puts through Raft can take on this machine: 200 bytes each over
 * TCP to two other processes and back, with syncs of a file in each of the
 * three, and the answer when two of them are done. What comes while a process
 * syncs is synced together next, and nobody waits to send. No Raft, no store, no
 * supervision.
 *
 *     deno run --allow-all bench/raft/sync_floor.ts --at-once 1,16,64
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";

const RECORD_BYTES = 200;
const FILE_BYTES = 16 * 1024 * 1024;
const RUN_MS = 3_000;
/** An acknowledgement: how many records are synced. */
const ANSWER_BYTES = 4;

/** A file with room, so that a sync has to write no more than the records. One sync at a time takes what came during the last. */
class SyncedFile {
  readonly #file: Deno.FsFile;
  readonly #onSynced: (records: number) => void;
  #at = 0;
  #wanted = 0;
  #begun = 0;
  #syncing = false;

  /** @param onSynced Told how many records are synced. */
  constructor(path: string, onSynced: (records: number) => void) {
    this.#onSynced = onSynced;
    this.#file = Deno.openSync(path, { create: true, write: true });
    this.#file.writeSync(new Uint8Array(FILE_BYTES));
    this.#file.syncSync();
  }

  /** There are so many records now. */
  async want(records: number): Promise<void> {
    this.#wanted = records;
    if (this.#syncing) return;
    this.#syncing = true;
    while (this.#begun < this.#wanted) {
      const bytes = new Uint8Array((this.#wanted - this.#begun) * RECORD_BYTES);
      const synced = this.#begun = this.#wanted;
      if (this.#at + bytes.length > FILE_BYTES) this.#at = 0;
      this.#file.seekSync(this.#at, Deno.SeekMode.Start);
      this.#file.writeSync(bytes);
      this.#at += bytes.length;
      await this.#file.syncData();
      this.#onSynced(synced);
    }
    this.#syncing = false;
  }
}

/** Takes records, syncs them, and says how many are. */
async function follow(path: string): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  Deno.stdout.writeSync(
    new TextEncoder().encode(`${(listener.addr as Deno.NetAddr).port}\n`),
  );
  const connection = await listener.accept();
  connection.setNoDelay(true);
  const file = new SyncedFile(path, (records) => {
    const answer = new Uint8Array(ANSWER_BYTES);
    new DataView(answer.buffer).setUint32(0, records);
    // An answer fits into what the system takes at once.
    void connection.write(answer);
  });
  const buffer = new Uint8Array(64 * 1024);
  for (let taken = 0;;) {
    const count = await connection.read(buffer);
    if (count === null) return;
    taken += count;
    void file.want(Math.floor(taken / RECORD_BYTES));
  }
}

/** Sends records to a follower, those of one turn in one write, and tells how many it has synced. */
class Sender {
  readonly #connection: Deno.TcpConn;
  #wanted = 0;
  #sent = 0;
  #sending = false;

  constructor(
    connection: Deno.TcpConn,
    onSynced: (records: number) => void,
  ) {
    this.#connection = connection;
    void this.#listen(onSynced);
  }

  async #listen(onSynced: (records: number) => void): Promise<void> {
    const buffer = new Uint8Array(ANSWER_BYTES * 256);
    for (let length = 0;;) {
      const count = await this.#connection.read(buffer.subarray(length))
        .catch(() => null);
      if (count === null) return;
      length += count;
      const whole = length - length % ANSWER_BYTES;
      if (whole === 0) continue;
      onSynced(new DataView(buffer.buffer).getUint32(whole - ANSWER_BYTES));
      buffer.copyWithin(0, whole, length);
      length -= whole;
    }
  }

  async want(records: number): Promise<void> {
    this.#wanted = records;
    if (this.#sending) return;
    this.#sending = true;
    while (this.#sent < this.#wanted) {
      await Promise.resolve();
      const bytes = new Uint8Array((this.#wanted - this.#sent) * RECORD_BYTES);
      this.#sent = this.#wanted;
      for (let at = 0; at < bytes.length;) {
        at += await this.#connection.write(bytes.subarray(at));
      }
    }
    this.#sending = false;
  }

  close(): void {
    this.#connection.close();
  }
}

interface Waiting {
  readonly number: number;
  readonly done: () => void;
}

async function connectTo(
  { stdout }: Deno.ChildProcess,
): Promise<Deno.TcpConn> {
  const lines = stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TextLineStream() as unknown as TransformStream<string, string>,
  ).getReader();
  const { value } = await lines.read();
  const connection = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(value),
  });
  connection.setNoDelay(true);
  return connection;
}

async function lead(folder: string, atOnce: number): Promise<void> {
  const others = [1, 2].map((number) =>
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-all",
        import.meta.filename as string,
        `${folder}/${number}`,
      ],
      stdout: "piped",
    }).spawn()
  );
  const connections = await Promise.all(others.map(connectTo));
  const synced = [0, 0, 0];
  const waiting: Waiting[] = [];
  const noteSynced = (place: number) => (records: number): void => {
    synced[place] = records;
    const [, byTwo] = synced.toSorted((a, b) => a - b) as [number, number];
    while (waiting[0] !== undefined && waiting[0].number <= byTwo) {
      waiting.shift()?.done();
    }
  };
  const file = new SyncedFile(`${folder}/0`, noteSynced(2));
  const senders = connections.map((connection, i) =>
    new Sender(connection, noteSynced(i))
  );
  const tookUs: number[] = [];
  let records = 0;
  const endAt = performance.now() + RUN_MS;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (performance.now() < endAt) {
      const begunAt = performance.now();
      const number = ++records;
      const done = new Promise<void>((resolve) =>
        waiting.push({ number, done: resolve })
      );
      for (const lane of [file, ...senders]) void lane.want(number);
      await done;
      tookUs.push((performance.now() - begunAt) * 1000);
    }
  }));
  for (const sender of senders) sender.close();
  await Promise.all(others.map(({ status }) => status));
  tookUs.sort((a, b) => a - b);
  const at = (share: number): string =>
    (tookUs[Math.floor(tookUs.length * share)] as number).toFixed(0);
  Deno.stdout.writeSync(
    new TextEncoder().encode(
      `bare syncs of three processes, two of them waited for, ${atOnce} at once: ${
        Math.round(tookUs.length / RUN_MS * 1000)
      }/s, p50 ${at(0.5)} us, p99 ${at(0.99)} us\n`,
    ),
  );
}

const args = parseArgs(Deno.args, {
  string: ["at-once"],
  default: { "at-once": "1,16,64" },
});
const [path] = args._;
if (path !== undefined) await follow(`${path}`);
else {
  for (const atOnce of args["at-once"].split(",").map(Number)) {
    const folder = await Deno.makeTempDir({ prefix: "whorl-floor-" });
    try {
      await lead(folder, atOnce);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
}
