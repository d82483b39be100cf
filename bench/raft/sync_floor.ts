/**
 * The least a put through Raft can take on this machine: 200 bytes over TCP to
 * two other processes and back, with a sync of a file in each of the three, and
 * the answer when two of them are done. No Raft, no store, no supervision.
 *
 *     deno run --allow-all bench/raft/sync_floor.ts
 *
 * @module
 */
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";

const RECORD_BYTES = 200;
const FILE_BYTES = 16 * 1024 * 1024;
const RUN_MS = 3_000;

/** A file with room, so that a sync has to write no more than the record. */
class SyncedFile {
  readonly #file: Deno.FsFile;
  readonly #record = new Uint8Array(RECORD_BYTES);
  #at = 0;

  constructor(path: string) {
    this.#file = Deno.openSync(path, { create: true, write: true });
    this.#file.writeSync(new Uint8Array(FILE_BYTES));
    this.#file.syncSync();
  }

  async append(): Promise<void> {
    this.#at = (this.#at + RECORD_BYTES) % (FILE_BYTES - RECORD_BYTES);
    this.#file.seekSync(this.#at, Deno.SeekMode.Start);
    this.#file.writeSync(this.#record);
    await this.#file.syncData();
  }
}

/** Takes a record, syncs it, and answers with a byte. */
async function follow(path: string): Promise<void> {
  const file = new SyncedFile(path);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  Deno.stdout.writeSync(
    new TextEncoder().encode(`${(listener.addr as Deno.NetAddr).port}\n`),
  );
  const connection = await listener.accept();
  connection.setNoDelay(true);
  const buffer = new Uint8Array(4096);
  for (let taken = 0;;) {
    const count = await connection.read(buffer);
    if (count === null) return;
    taken += count;
    if (taken < RECORD_BYTES) continue;
    taken -= RECORD_BYTES;
    await file.append();
    await connection.write(new Uint8Array(1));
  }
}

async function lead(folder: string): Promise<void> {
  const file = new SyncedFile(`${folder}/0`);
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
  const connections = await Promise.all(others.map(async ({ stdout }) => {
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
  }));
  const record = new Uint8Array(RECORD_BYTES);
  const buffer = new Uint8Array(16);
  /** Rounds that each of the three has done; one may be behind the others. */
  const last: Promise<unknown>[] = [];
  const tookUs: number[] = [];
  const endAt = performance.now() + RUN_MS;
  while (performance.now() < endAt) {
    const begunAt = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    let done = 0;
    const count = (): void => void (++done === 2 && resolve());
    for (let i = 0; i < 3; i++) {
      const work = async (): Promise<void> => {
        if (i === 2) return await file.append();
        const connection = connections[i] as Deno.TcpConn;
        await connection.write(record);
        await connection.read(buffer);
      };
      last[i] = Promise.resolve(last[i]).then(work);
      last[i]?.then(count);
    }
    await promise;
    tookUs.push((performance.now() - begunAt) * 1000);
  }
  await Promise.all(last);
  for (const connection of connections) connection.close();
  await Promise.all(others.map(({ status }) => status));
  tookUs.sort((a, b) => a - b);
  const at = (share: number): string =>
    (tookUs[Math.floor(tookUs.length * share)] as number).toFixed(0);
  Deno.stdout.writeSync(
    new TextEncoder().encode(
      `bare syncs of three processes, two of them waited for: ${
        Math.round(tookUs.length / RUN_MS * 1000)
      }/s, p50 ${at(0.5)} us, p99 ${at(0.99)} us\n`,
    ),
  );
}

const [path] = Deno.args;
if (path !== undefined) await follow(path);
else {
  const folder = await Deno.makeTempDir({ prefix: "whorl-floor-" });
  try {
    await lead(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
