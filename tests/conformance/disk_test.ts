/**
 * The simulated disk does what the real one does, in the same words: each script
 * runs on both, and what it saw is compared. Production code tells failures
 * apart by their words, so a simulation with other words would prove nothing.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type {
  Disk,
  DiskReader,
  KvDatabase,
  KvKey,
  KvRange,
} from "../../src/environment/disk.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { systemDisk } from "../../src/storage/system_disk.ts";

/** Notes what an action came to: its result, or the error's name, code and words. */
type Note = (what: string, action: () => unknown) => Promise<void>;
type Script = (disk: Disk, folder: string, note: Note) => Promise<void>;

async function seen(
  script: Script,
  disk: Disk,
  folder: string,
): Promise<unknown[]> {
  const notes: unknown[] = [];
  await script(disk, folder, async (what, action) => {
    try {
      notes.push([what, await action()]);
    } catch (error) {
      const { name, message, code } = error as Error & { code?: string };
      const words = message.replaceAll(folder, "FOLDER");
      notes.push([what, "fails", name, code ?? "", words]);
    }
  });
  return notes;
}

function agrees(sentence: string, script: Script): void {
  Deno.test(sentence, async () => {
    const folder = await Deno.makeTempDir({ prefix: "whorl-disk-" });
    try {
      const real = await seen(script, systemDisk, folder);
      const bench = new DiskBench("conformance");
      const { disk } = bench.live();
      const simulated = await bench.run((async () => {
        await disk.makeFolder("/folder");
        return await seen(script, disk, "/folder");
      })());
      assert(real.length > 0);
      assertEquals(simulated, real);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

const bytes = (...values: number[]) => new Uint8Array(values);

agrees(
  "SimulatedDisk opens, writes, reads, renames and removes files as the real one",
  async (disk, folder, note) => {
    const path = `${folder}/a`;
    await note("nothing there", () => disk.readFile(path));
    await note("no entry", () => disk.entry(path));
    await note("remove nothing", () => disk.remove(path));
    const file = await disk.open(path, { mode: "create_new" });
    await file.write(bytes(1, 2, 3));
    await file.write(bytes(4));
    await note("sync", () => file.sync());
    await note("syncData", () => file.syncData());
    await note("read", () => disk.readFile(path));
    await note("entry", () => disk.entry(path));
    await note("make anew", () => disk.open(path, { mode: "create_new" }));
    // The real one reads much piece by piece.
    const large = Uint8Array.from({ length: 2_500_000 }, (_, i) => i % 251);
    const other = await disk.open(`${folder}/large`, { mode: "create_new" });
    await other.write(large);
    other.close();
    await note("read much", async () => {
      const found = await disk.readFile(`${folder}/large`);
      return found?.length === large.length &&
        found.every((byte, i) => byte === i % 251);
    });
    await disk.remove(`${folder}/large`);
    const again = await disk.open(path, { mode: "create" });
    again.writeAt(bytes(9), 1);
    again.writeAt(bytes(8, 8), 6);
    await note("written in place", () => disk.readFile(path));
    again.writeAt(bytes(7), 8);
    again.writeAt(bytes(6, 6), 9);
    again.writeAt(bytes(5), 0);
    again.writeAt(bytes(4), 10);
    await note("written on, and further ahead", () => disk.readFile(path));
    await again.truncate(2);
    await note("cut", () => disk.readFile(path));
    await again.truncate(4);
    await note("filled up", () => disk.readFile(path));
    await note("lock", () => file.tryLock());
    await note("lock twice", () => file.tryLock());
    await note("lock of another", () => again.tryLock());
    file.close();
    await note("lock once free", () => again.tryLock());
    again.close();
    await note("close twice", () => again.close());
    await note("write to closed", () => again.write(bytes(1)));
    await note("writeAt to closed", () => again.writeAt(bytes(1), 0));
    await note("sync closed", () => again.sync());
    await note("truncate closed", () => again.truncate(0));
    await note("lock closed", () => again.tryLock());
    await note("rename", () => disk.rename(path, `${folder}/b`));
    await note("names", () => disk.names(folder));
    await note("rename nothing", () => disk.rename(path, `${folder}/c`));
    await note("sync folder", () => disk.syncFolder(folder));
    await note("remove", () => disk.remove(`${folder}/b`));
    await note("names", () => disk.names(folder));
  },
);

agrees(
  "SimulatedDisk reads a file that is replaced meanwhile as it was or as it is, and whole, as the real one",
  async (disk, folder, note) => {
    const path = `${folder}/a`;
    // The real one reads both piece by piece.
    const sizes = [1_100_000, 1_600_000];
    const make = async (round: number): Promise<void> => {
      const file = await disk.open(`${folder}/b`, { mode: "create_new" });
      await file.write(new Uint8Array(sizes[round % 2] as number).fill(round));
      file.close();
    };
    await make(1);
    await disk.rename(`${folder}/b`, path);
    for (let round = 2; round < 14; round++) {
      await make(round);
      await note("read", async () => {
        const reading = disk.readFile(path);
        await disk.rename(`${folder}/b`, path);
        const found = await reading as Uint8Array;
        const [first] = found;
        return (first === round - 1 || first === round) &&
          found.length === sizes[first % 2] &&
          found.every((byte) => byte === first);
      });
    }
  },
);

agrees(
  "SimulatedDisk reads a file that grows meanwhile up to where it is then, as the real one",
  async (disk, folder, note) => {
    const path = `${folder}/a`;
    const from = (start: number): Uint8Array<ArrayBuffer> =>
      Uint8Array.from({ length: 10_000 }, (_, i) => (start + i) % 251);
    const file = await disk.open(path, { mode: "create_new" });
    let length = 0;
    const grow = (): void => {
      file.writeAt(from(length), length);
      length += 10_000;
    };
    while (length < 1_200_000) grow();
    for (let round = 0; round < 4; round++) {
      const before = length;
      const reading = disk.readFile(path);
      let isRead = false;
      reading.finally(() => isRead = true);
      while (!isRead) {
        grow();
        await disk.entry(path);
      }
      await note("read", async () => {
        const found = await reading as Uint8Array;
        return found.length >= before && found.length <= length &&
          found.every((byte, i) => byte === i % 251);
      });
    }
    file.close();
  },
);

agrees(
  "SimulatedDisk reads parts of files as the real one",
  async (disk, folder, note) => {
    const path = `${folder}/a`;
    await note("nothing there", () => disk.openRead(path));
    const file = await disk.open(path, { mode: "create" });
    await file.write(bytes(1, 2, 3, 4, 5));
    const reader = await disk.openRead(path) as DiskReader;
    const read = async (count: number, offset: number) => {
      const into = new Uint8Array(count);
      return [await reader.readAt(into, offset), into];
    };
    await note("a part", () => read(2, 1));
    await note("nothing of it", () => read(0, 1));
    await note("up to the end and on", () => read(4, 3));
    await note("behind the end", () => read(4, 9));
    await note("several", () => Promise.all([read(2, 0), read(2, 3)]));
    file.writeAt(bytes(9), 1);
    await note("as it is now", () => read(3, 0));
    await disk.rename(path, `${folder}/b`);
    await disk.remove(`${folder}/b`);
    await note("without a name", () => read(3, 0));
    const last = read(1, 0);
    reader.close();
    await note("asked for before it was closed", () => last);
    await note("closed", () => read(1, 0));
    await note("close twice", () => reader.close());
    file.close();
  },
);

agrees(
  "SimulatedDisk knows folders as the real one",
  async (disk, folder, note) => {
    await note("make", () => disk.makeFolder(`${folder}/a`));
    await note("make again", () => disk.makeFolder(`${folder}/a`));
    await note("make private", () => disk.makePrivate(`${folder}/a`));
    await note("make below nothing", () => disk.makeFolder(`${folder}/x/y`));
    const file = await disk.open(`${folder}/file`, { mode: "create" });
    file.close();
    await note("make below file", () => disk.makeFolder(`${folder}/file/y`));
    await note("make on file", () => disk.makeFolder(`${folder}/file`));
    await note("type", async () => (await disk.entry(`${folder}/a`))?.type);
    await note("entry below nothing", () => disk.entry(`${folder}/x/y`));
    await note("entry below file", () => disk.entry(`${folder}/file/y`));
    await note("read", () => disk.readFile(`${folder}/a`));
    await note("read below nothing", () => disk.readFile(`${folder}/x/y`));
    await note("open", () => disk.open(`${folder}/a`, { mode: "create" }));
    await note(
      "open below nothing",
      () => disk.open(`${folder}/x/y`, { mode: "create" }),
    );
    await note("names of nothing", () => disk.names(`${folder}/x`));
    await note("names of file", () => disk.names(`${folder}/file`));
    await note("sync nothing", () => disk.syncFolder(`${folder}/x`));
    await note(
      "rename onto",
      () => disk.rename(`${folder}/file`, `${folder}/a`),
    );
    await note("make inner", () => disk.makeFolder(`${folder}/a/b`));
    await note("remove full", () => disk.remove(`${folder}/a`));
    await note("remove inner", () => disk.remove(`${folder}/a/b`));
    await note("remove empty", () => disk.remove(`${folder}/a`));
    await note("names", () => disk.names(folder));
  },
);

const key = (...values: number[]): KvKey => [bytes(...values)];

/** Entries in a range; stamps are not the same on two databases. */
async function listed(
  kv: KvDatabase,
  range: KvRange,
  options = {},
): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (
    const entry of kv.list(range, {
      limit: 100,
      reverse: false,
      batchSize: 3,
      ...options,
    })
  ) found.push([entry.key, entry.value, typeof entry.versionstamp]);
  return found;
}

agrees(
  "SimulatedKv reads and commits as Deno KV",
  async (disk, folder, note) => {
    const kv = await disk.openKv(`${folder}/kv`);
    await note("plain file", async () => {
      const entry = await disk.entry(`${folder}/kv`);
      return [entry?.type, (entry?.sizeBytes ?? 0) > 0];
    });
    await note("nothing", () => kv.get(key(1)));
    const first = await kv.set(key(1), bytes(10));
    await note("value", async () => (await kv.get(key(1))).value);
    await note(
      "stamp",
      async () => (await kv.get(key(1))).versionstamp === first.versionstamp,
    );
    const second = await kv.set(key(1), bytes(11));
    await note("stamps grow", () => second.versionstamp > first.versionstamp);
    await note("stamp's length", () => second.versionstamp.length);
    await note(
      "stale check",
      () =>
        kv.atomic().check({ key: key(1), versionstamp: first.versionstamp })
          .set(key(2), bytes(1)).commit(),
    );
    await note("nothing done", () => kv.get(key(2)));
    await note("good checks", async () => {
      const { ok } = await kv.atomic()
        .check({ key: key(1), versionstamp: second.versionstamp })
        .check({ key: key(2), versionstamp: null })
        .set(key(2), bytes(1)).set(key(2), bytes(2)).delete(key(1))
        .delete(key(99)).commit();
      return ok;
    });
    await note("empty commit", async () => (await kv.atomic().commit()).ok);
    await note("many", async () => {
      const entries = await kv.getMany([key(2), key(1), key(2)]);
      return entries.map(({ key, value }) => [key, value]);
    });
    const reused = bytes(5);
    const operation = kv.atomic().set(key(3), reused);
    reused[0] = 6;
    const committing = operation.commit();
    reused[0] = 7;
    await committing;
    await note(
      "copied by the commit",
      async () => (await kv.get(key(3))).value,
    );
    await note("keys as they are at the commit", async () => {
      await kv.set(key(20), bytes(1));
      const { versionstamp } = await kv.set(key(21), bytes(1));
      const [checked, put, removed] = [bytes(98), bytes(97), bytes(96)];
      const operation = kv.atomic().check({ key: [checked], versionstamp })
        .set([put], bytes(2)).delete([removed]);
      checked[0] = 21;
      put[0] = 22;
      removed[0] = 20;
      const committing = operation.commit();
      for (const buffer of [checked, put, removed]) buffer[0] = 99;
      const { ok } = await committing;
      const found = await kv.getMany([20, 21, 22, 97, 99].map((i) => key(i)));
      return [ok, found.map(({ value }) => value)];
    });
    for (const one of [[], [0], [0, 0], [0, 1], [1], [255], [255, 0]]) {
      await kv.set(key(7, ...one), bytes(one.length));
    }
    await note("list", () => listed(kv, { start: key(7), end: key(8) }));
    await note(
      "backwards",
      () =>
        listed(kv, { start: key(7), end: key(8) }, { reverse: true, limit: 5 }),
    );
    await note("part", () => listed(kv, { start: key(7, 0), end: key(7, 1) }));
    await note("everything", () => listed(kv, { prefix: [] }));
    await note("empty range", () => listed(kv, { start: key(7), end: key(7) }));
    await note(
      "one",
      () => listed(kv, { start: key(7), end: key(8) }, { limit: 1 }),
    );
    const other = await disk.openKv(`${folder}/kv`);
    await kv.set(key(4), bytes(4));
    await note("seen by another", async () => (await other.get(key(4))).value);
    other.close();
    kv.close();
    await note("closed get", () => kv.get(key(1)));
    await note("closed list", () => listed(kv, { start: key(1), end: key(2) }));
    await note("closed set", () => kv.set(key(1), bytes(1)));
    await note("closed close", () => kv.close());
    const opened = await disk.openKv(`${folder}/kv`);
    await note("kept", async () => (await opened.get(key(4))).value);
    opened.close();
  },
);

agrees(
  "SimulatedKv refuses what Deno KV refuses",
  async (disk, folder, note) => {
    const plain = await disk.open(`${folder}/plain`, { mode: "create" });
    await plain.write(new Uint8Array(5000).fill(7));
    plain.close();
    await disk.makeFolder(`${folder}/inner`);
    await note("plain file", () => disk.openKv(`${folder}/plain`));
    await note("folder", () => disk.openKv(`${folder}/inner`));
    await note("missing folder", () => disk.openKv(`${folder}/x/y`));
    const empty = await disk.open(`${folder}/kv`, { mode: "create" });
    empty.close();
    const kv = await disk.openKv(`${folder}/kv`);
    const set = async (key: Uint8Array, value: Uint8Array) =>
      typeof (await kv.set([key], value)).versionstamp;
    const ones = (length: number) => new Uint8Array(length).fill(1);
    await note("large value", () => set(bytes(1), new Uint8Array(65_536)));
    await note("too large value", () => set(bytes(1), new Uint8Array(65_537)));
    await note("long key", () => set(ones(2046), bytes(1)));
    await note("too long key", () => set(ones(2047), bytes(1)));
    await note("zeros", () => set(new Uint8Array(1023), bytes(1)));
    await note("too many zeros", () => set(new Uint8Array(1024), bytes(1)));
    await note("long read", async () => (await kv.get([ones(2046)])).value);
    await note("too long read", () => kv.get([ones(2047)]));
    for (const length of [2046, 2047, 2048]) {
      await note(
        `check of ${length} bytes`,
        () =>
          kv.atomic().check({
            key: [ones(length)],
            versionstamp: "0".repeat(20),
          }).commit(),
      );
    }
    const numbered = (i: number) => bytes(5, i >> 8, i);
    for (const count of [1000, 1001]) {
      await note(`${count} changes`, async () => {
        const operation = kv.atomic();
        for (let i = 0; i < count; i++) operation.set([numbered(i)], bytes(1));
        return (await operation.commit()).ok;
      });
    }
    for (const count of [100, 101]) {
      await note(`${count} checks`, async () => {
        const operation = kv.atomic();
        for (let i = 0; i < count; i++) {
          operation.check({ key: [bytes(6, i)], versionstamp: null });
        }
        return (await operation.commit()).ok;
      });
    }
    for (const [count, length] of [[13, 63_000], [13, 63_100]] as const) {
      await note(`${count} of ${length} bytes`, async () => {
        const operation = kv.atomic();
        for (let i = 0; i < count; i++) {
          operation.set([numbered(i)], new Uint8Array(length));
        }
        return (await operation.commit()).ok;
      });
    }
    for (const count of [81, 82]) {
      await note(`${count} keys of 1,000 bytes`, async () => {
        const operation = kv.atomic();
        for (let i = 0; i < count; i++) {
          operation.set([ones(998).fill(1 + i, 0, 1)], bytes(1));
        }
        return (await operation.commit()).ok;
      });
    }
    await note(
      "11 keys",
      () => kv.getMany(Array.from({ length: 11 }, (_, i) => key(i))),
    );
    await note(
      "too many at once",
      () => listed(kv, { start: key(1), end: key(2) }, { batchSize: 1001 }),
    );
    await note(
      "ends before it starts",
      () => listed(kv, { start: key(2), end: key(1) }),
    );
    kv.close();
  },
);
