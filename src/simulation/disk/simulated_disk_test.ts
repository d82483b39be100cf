import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type {
  Disk,
  DiskFile,
  DiskReader,
  KvDatabase,
} from "../../environment/disk.ts";
import { space } from "../../storage/deno_kv_codec.ts";
import { DiskBench } from "../testing/disk_bench.ts";

const bytes = (...values: number[]) => new Uint8Array(values);
const key = (...values: number[]) => [bytes(...values)] as const;

async function create(
  bench: DiskBench,
  disk: Disk,
  path: string,
  content: Uint8Array<ArrayBuffer>,
): Promise<DiskFile> {
  const file = await bench.run(disk.open(path, { mode: "create" }));
  await bench.run(file.write(content));
  return file;
}

/** Creates a file with `content`, and syncs it and its name. */
async function createDurably(
  bench: DiskBench,
  disk: Disk,
  path: string,
  content: Uint8Array<ArrayBuffer>,
): Promise<DiskFile> {
  const file = await create(bench, disk, path, content);
  await bench.run(file.sync());
  await bench.run(disk.syncFolder("/"));
  return file;
}

Deno.test("SimulatedDisk keeps what a dead process had written, synced or not", async () => {
  const bench = new DiskBench("killed");
  const { disk } = bench.live();
  const file = await create(bench, disk, "/a", bytes(1, 2));
  await bench.run(disk.makeFolder("/inner"));
  await bench.run(disk.rename("/a", "/b"));
  file.writeAt(bytes(3), 1);
  bench.crash("process");
  const { disk: next } = bench.live();
  assertEquals(await bench.run(next.readFile("/b")), bytes(1, 3));
  assertEquals(await bench.run(next.names("/")), ["inner", "b"]);
  assertEquals(bench.disk.counts.lostChanges, 0);
});

Deno.test("SimulatedDisk keeps names through a power loss that were there when their folder was synced", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const bench = new DiskBench(seed);
    const { disk } = bench.live();
    await createDurably(bench, disk, "/old", bytes(1));
    await createDurably(bench, disk, "/new", bytes(2));
    await bench.run(disk.rename("/new", "/old"));
    await createDurably(bench, disk, "/last", bytes(3));
    await bench.run(disk.rename("/last", "/end"));
    await bench.run(disk.remove("/old"));
    bench.crash("power");
    const { disk: next } = bench.live();
    const names = await bench.run(next.names("/"));
    seen.add(names.sort().join(" "));
    if (names.includes("old")) {
      assertEquals(await bench.run(next.readFile("/old")), bytes(2));
    }
  }
  // Neither name of a renamed file, or both, never remain.
  assertEquals([...seen].sort(), ["end", "end old", "last old"]);
});

Deno.test("SimulatedDisk loses a file whose name was not synced, whatever was synced in it", async () => {
  let lost = 0;
  for (let seed = 0; seed < 50; seed++) {
    const bench = new DiskBench(seed);
    const { disk } = bench.live();
    const file = await create(bench, disk, "/a", bytes(1));
    await bench.run(file.sync());
    bench.crash("power");
    const found = await bench.run(bench.live().disk.readFile("/a"));
    if (found === undefined) lost++;
    else assertEquals(found, bytes(1));
  }
  assert(lost > 5 && lost < 45, `${lost}`);
});

Deno.test("SimulatedDisk makes what was written before a sync durable, not what came after", async () => {
  let kept = 0;
  for (let seed = 0; seed < 50; seed++) {
    const bench = new DiskBench(seed, {
      weather: { syncMsMin: 5, syncMsMax: 5, liesAboutSync: false },
    });
    const { disk } = bench.live();
    const file = await createDurably(bench, disk, "/a", bytes(1, 1));
    file.writeAt(bytes(2), 0);
    const syncing = file.sync();
    file.writeAt(bytes(3), 1);
    await bench.run(syncing);
    bench.crash("power");
    const found = await bench.run(bench.live().disk.readFile("/a"));
    assertEquals(found?.[0], 2);
    if (found?.[1] === 3) kept++;
  }
  assert(kept > 5 && kept < 45, `${kept}`);
});

Deno.test("SimulatedDisk never answers a dead process, and performs some of its pending calls", async () => {
  const done = { write: 0, commit: 0 };
  for (let seed = 0; seed < 100; seed++) {
    const bench = new DiskBench(seed);
    const { disk } = bench.live();
    const file = await createDurably(bench, disk, "/a", bytes(1));
    const kv = await bench.run(disk.openKv("/kv"));
    await bench.run(kv.set(key(1), bytes(1)));
    await bench.run(disk.syncFolder("/"));
    const answers: string[] = [];
    file.write(bytes(2)).then(() => answers.push("write"));
    kv.atomic().set(key(1), bytes(2)).set(key(2), bytes(2)).commit()
      .then(() => answers.push("commit"));
    kv.set(key(3), bytes(3)).then(() => answers.push("set"));
    await bench.happen(0);
    bench.crash(seed % 2 === 0 ? "process" : "power");
    // Nothing that a dead process does reaches the disk.
    file.writeAt(bytes(9), 5);
    kv.set(key(4), bytes(4)).then(() => answers.push("late"), () => {});
    assertEquals(await bench.time.run(Infinity), "nothing_left");
    assertEquals(answers, []);

    const { disk: next } = bench.live();
    const content = await bench.run(next.readFile("/a"));
    if (content?.length === 2) done.write++;
    else assertEquals(content, bytes(1));
    const again = await bench.run(next.openKv("/kv"));
    const values = (await bench.run(
      again.getMany([key(1), key(2), key(3), key(4)]),
    )).map(({ value }) => value);
    if (values[1] === null) assertEquals(values, [bytes(1), null, null, null]);
    else {
      assertEquals(values, [bytes(2), bytes(2), null, null]);
      done.commit++;
    }
  }
  assert(done.write > 20 && done.commit > 20 && done.commit < 80);
});

Deno.test("SimulatedDisk releases the locks of a process when it dies, and of no other", async () => {
  const bench = new DiskBench("locks");
  const lives = [bench.live(), bench.live(), bench.live()];
  const files = [];
  for (const { disk } of lives) {
    files.push(await bench.run(disk.open("/LOCK", { mode: "create" })));
  }
  const [first, second, third] = files as [DiskFile, DiskFile, DiskFile];
  assert(await bench.run(first.tryLock()));
  assert(await bench.run(first.tryLock()));
  assert(!await bench.run(second.tryLock()));
  bench.disk.crash("process", lives[1]?.disk);
  assert(!await bench.run(third.tryLock()));
  bench.disk.crash("process", lives[0]?.disk);
  assert(await bench.run(third.tryLock()));
  assertEquals(new Set(lives.map(({ disk }) => disk.processId)).size, 3);
});

Deno.test("SimulatedDisk takes the configured time, for syncs and other calls", async () => {
  const bench = new DiskBench("slow", {
    weather: { syncMsMin: 10, syncMsMax: 12, liesAboutSync: false },
    operationMsMax: 1,
  });
  const { disk } = bench.live();
  const took = async (action: () => Promise<unknown>): Promise<number> => {
    const startMs = bench.time.now();
    await bench.run(action());
    return bench.time.now() - startMs;
  };
  const file = await create(bench, disk, "/a", bytes(1));
  const kv = await bench.run(disk.openKv("/kv"));
  for (let i = 0; i < 20; i++) {
    assert(await took(() => disk.readFile("/a")) <= 1);
    assert(await took(() => kv.get(key(1))) <= 1);
    for (const sync of [() => file.sync(), () => kv.set(key(1), bytes(1))]) {
      const ms = await took(sync);
      assert(ms >= 10 && ms <= 12, `${ms}`);
    }
  }
  bench.disk.syncDelayMs = 500;
  assert(await took(() => disk.syncFolder("/")) >= 510);
  // A database performs one call after the other.
  const commits = [kv.set(key(1), bytes(2)), kv.set(key(1), bytes(3))];
  assert(await took(() => kv.get(key(1))) >= 1020);
  await Promise.all(commits);
});

Deno.test("SimulatedDisk reports that it is full in the system's words, and allows changes in place", async () => {
  const bench = new DiskBench("full");
  const { disk } = bench.live();
  const file = await create(bench, disk, "/a", bytes(1, 2));
  const kv = await bench.run(disk.openKv("/kv"));
  bench.disk.full = true;
  const noSpace = "No space left on device (os error 28)";
  file.writeAt(bytes(3), 1);
  assertThrows(() => file.writeAt(bytes(3), 2), Error, noSpace);
  await assertRejects(() => bench.run(file.write(bytes(4))), Error, noSpace);
  await assertRejects(
    () => bench.run(disk.open("/b", { mode: "create" })),
    Error,
    `${noSpace}: open '/b'`,
  );
  await assertRejects(() => bench.run(disk.makeFolder("/c")), Error, noSpace);
  await assertRejects(
    () => bench.run(kv.set(key(1), bytes(1))),
    TypeError,
    "database or disk is full",
  );
  await assertRejects(
    () => bench.run(kv.atomic().delete(key(1)).commit()),
    TypeError,
    "database or disk is full",
  );
  assertEquals((await bench.run(kv.get(key(1)))).value, null);
  assertEquals(bench.disk.counts.refusedFull, 6);
  bench.disk.full = false;
  await bench.run(kv.set(key(1), bytes(1)));
  assertEquals(await bench.run(disk.readFile("/a")), bytes(1, 3));
});

Deno.test("SimulatedDisk leaves the outcome of a failed write or commit open", async () => {
  const seen = { written: 0, lost: 0, revived: 0, gone: 0 };
  for (let seed = 0; seed < 100; seed++) {
    const bench = new DiskBench(seed);
    const { disk } = bench.live();
    const file = await createDurably(bench, disk, "/a", bytes(1));
    const kv = await bench.run(disk.openKv("/kv"));
    bench.disk.writeErrorProbability = 1;
    assertThrows(
      () => file.writeAt(bytes(2), 0),
      Error,
      "Input/output error (os error 5)",
    );
    await assertRejects(
      () => bench.run(kv.set(key(1), bytes(1))),
      TypeError,
      "disk I/O error",
    );
    assertEquals(bench.disk.counts.writeErrors, 2);
    bench.disk.writeErrorProbability = 0;
    const content = await bench.run(disk.readFile("/a"));
    seen[content?.[0] === 2 ? "written" : "lost"]++;
    // It is invisible while the database is open.
    assertEquals((await bench.run(kv.get(key(1)))).value, null);
    const other = await bench.run(disk.openKv("/kv"));
    assertEquals((await bench.run(other.get(key(1)))).value, null);
    // The next commit overwrites it.
    if (seed % 4 === 0) await bench.run(kv.set(key(2), bytes(2)));
    bench.crash("process");
    const again = await bench.run(bench.live().disk.openKv("/kv"));
    const revived = (await bench.run(again.get(key(1)))).value !== null;
    assertEquals(bench.disk.counts.revivedCommits, revived ? 1 : 0);
    if (seed % 4 === 0) assert(!revived);
    else seen[revived ? "revived" : "gone"]++;
  }
  for (const [what, count] of Object.entries(seen)) {
    assert(count > 15, `${what}: ${count}`);
  }
});

async function commitTen(bench: DiskBench): Promise<KvDatabase> {
  const { disk } = bench.live();
  const kv = await bench.run(disk.openKv("/kv"));
  await bench.run(disk.syncFolder("/"));
  for (let i = 1; i <= 10; i++) await bench.run(kv.set(key(i), bytes(i)));
  return kv;
}

async function keysLeft(bench: DiskBench): Promise<number[]> {
  const kv = await bench.run(bench.live().disk.openKv("/kv"));
  const found: number[] = [];
  const options = { limit: 100, reverse: false, batchSize: 100 };
  await bench.run((async () => {
    for await (const entry of kv.list({ prefix: [] }, options)) {
      found.push((entry.key[0] as Uint8Array)[0] as number);
    }
  })());
  return found;
}

const ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

Deno.test("SimulatedDisk loses no acknowledged commit, unless it lies, and then the newest", async () => {
  const left = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    const honest = new DiskBench(seed);
    await commitTen(honest);
    honest.crash("power");
    assertEquals(await keysLeft(honest), ten);

    const lying = new DiskBench(seed);
    lying.disk.liesAboutSync = true;
    const kv = await commitTen(lying);
    if (seed % 10 === 0) {
      // An honest commit makes all earlier ones durable.
      lying.disk.liesAboutSync = false;
      await lying.run(kv.set(key(10), bytes(10)));
    }
    lying.crash(seed % 10 === 1 ? "process" : "power");
    const keys = await keysLeft(lying);
    assertEquals(keys, ten.slice(0, keys.length));
    assertEquals(lying.disk.counts.lostCommits, 10 - keys.length);
    if (seed % 10 < 2) assertEquals(keys.length, 10);
    left.add(keys.length);
  }
  assertEquals(left.size, 11);
});

Deno.test("SimulatedDisk.rot() flips one bit of a stored value, or of what it is given", async () => {
  const bench = new DiskBench("rot");
  const { disk } = bench.live();
  assertEquals(bench.disk.rot(), undefined);
  const kv = await bench.run(disk.openKv("/kv"));
  await bench.run(kv.set(key(space.head), bytes(0, 0)));
  assertEquals(bench.disk.rot(), undefined);
  await bench.run(kv.set(key(space.data, 1), bytes(0, 0)));
  const before = (await bench.run(kv.get(key(space.data, 1)))).value;
  assertEquals(bench.disk.rot(), { path: "/kv", key: bytes(space.data, 1) });
  // Earlier reads are unaffected.
  assertEquals(before, bytes(0, 0));
  const bits = (value: unknown) =>
    [...value as Uint8Array].map((byte) => byte.toString(2))
      .join("").replaceAll("0", "").length;
  assertEquals(bits((await bench.run(kv.get(key(space.data, 1)))).value), 1);
  assertEquals(bits((await bench.run(kv.get(key(space.head)))).value), 0);
  await create(bench, disk, "/a", bytes(0, 0, 0));
  const isFile = ({ path }: { path: string }) => path === "/a";
  assertEquals(bench.disk.rot(isFile), { path: "/a" });
  assertEquals(bits(await bench.run(disk.readFile("/a"))), 1);
  assertEquals(bench.disk.counts.rottenBits, 2);
  bench.disk.rotProbability = 1;
  await bench.run(kv.set(key(5), bytes(0, 0)));
  assertEquals(bits((await bench.run(kv.get(key(5)))).value), 1);
});

Deno.test("SimulatedDisk can fail partial reads of files, and shows rot in them", async () => {
  const bench = new DiskBench("reads");
  const { disk } = bench.live();
  await create(bench, disk, "/a", bytes(0, 0, 0));
  const reader = await bench.run(disk.openRead("/a")) as DiskReader;
  const into = new Uint8Array(3);
  bench.disk.readErrorProbability = 1;
  await assertRejects(
    () => bench.run(reader.readAt(into, 0)),
    Error,
    "Input/output error (os error 5)",
  );
  assertEquals(bench.disk.counts.readErrors, 1);
  bench.disk.readErrorProbability = 0;
  bench.disk.rot(({ path }) => path === "/a");
  assertEquals(await bench.run(reader.readAt(into, 0)), 3);
  assert(into.some((byte) => byte !== 0));
  bench.crash("process");
  // Pending reads never complete.
  reader.readAt(into, 0).then(() => assert(false));
  assertEquals(await bench.time.run(Infinity), "nothing_left");
});

Deno.test("SimulatedDisk behaves the same with the same seed", async () => {
  const run = async (seed: number) => {
    const bench = new DiskBench(seed, {
      weather: { syncMsMin: 0, syncMsMax: 9, liesAboutSync: true },
      operationMsMax: 3,
    });
    bench.disk.writeErrorProbability = 0.2;
    const log: unknown[] = [];
    for (let life = 0; life < 5; life++) {
      const { disk } = bench.live();
      const note = (what: string) => (outcome: unknown) =>
        void log.push([bench.time.now(), what, String(outcome)]);
      disk.openKv("/kv").then(async (kv) => {
        for (let i = 0;; i++) {
          await kv.set(key(i % 256), bytes(i % 256)).then(note("set"));
        }
      }).catch(note("kv"));
      disk.open("/a", { mode: "create" }).then(async (file) => {
        for (let i = 0; i < 20; i++) {
          await file.write(bytes(i));
          await file.sync();
        }
        note("file")("done");
      }).catch(note("file"));
      await bench.happen(60);
      bench.crash(life % 2 === 0 ? "power" : "process");
    }
    return [log, { ...bench.disk.counts }, bench.time.now()];
  };
  assertEquals(await run(1), await run(1));
  assert(JSON.stringify(await run(1)) !== JSON.stringify(await run(2)));
});
