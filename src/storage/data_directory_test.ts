import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Disk } from "../environment/disk.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { DataDirectory, type NodeIdentity } from "./data_directory.ts";
import { systemDisk as disk } from "./system_disk.ts";

const identity: NodeIdentity = {
  nodeId: "00112233445566778899aabbccddeeff",
  name: "dev1@127.0.0.1",
  cluster: "test",
  ringSize: 64,
  masters: 2,
};

async function withFolder(body: (path: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "whorl-data-" });
  try {
    await body(`${folder}/data`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function refused(path: string, wanted = identity): Promise<WhorlError> {
  return await assertRejects(
    () => DataDirectory.open({ path, identity: wanted, disk }),
    WhorlError,
  ) as WhorlError;
}

async function create(path: string) {
  await (await DataDirectory.open({ path, identity, disk })).close();
}

Deno.test("DataDirectory.open() creates a private folder and keeps who it belongs to", () =>
  withFolder(async (path) => {
    {
      await using made = await DataDirectory.open({ path, identity, disk });
      assert(made.isNew);
      assertEquals(made.incarnation, 1);
      assertEquals(made.storePath("kv", 1), `${path}/kv-1.kv`);
      assertThrows(() => made.storePath("kv", 2), RangeError);
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o700);
    }
    await using again = await DataDirectory.open({
      path,
      identity: { ...identity, nodeId: "ff".repeat(16) },
      disk,
    });
    assert(!again.isNew);
    assertEquals(again.identity, identity);
    assertEquals(again.incarnation, 2);
  }));

Deno.test("DataDirectory.open() completes an interrupted creation", () =>
  withFolder(async (path) => {
    await create(path);
    await Deno.remove(`${path}/FORMAT`);
    await Deno.remove(`${path}/incarnation.json`);
    await Deno.writeTextFile(`${path}/identity.json.tmp`, "half");
    await using made = await DataDirectory.open({ path, identity, disk });
    assert(made.isNew);
    assertEquals(made.incarnation, 1);
  }));

Deno.test("DataDirectory.open() takes an empty folder in one that may not be read, and makes none there", () =>
  withFolder(async (path) => {
    const parent = path.slice(0, path.lastIndexOf("/"));
    const denying: Disk = {
      ...disk,
      syncFolder: (folder) =>
        folder === parent
          ? Promise.reject(new Deno.errors.PermissionDenied(parent))
          : disk.syncFolder(folder),
    };
    const open = () => DataDirectory.open({ path, identity, disk: denying });
    await assertRejects(open, WhorlError, "Cannot use");
    await (await open()).close();
    const again = await open();
    assert(!again.isNew);
    await again.close();
  }));

Deno.test("DataDirectory.open() lets one process in and tells others which process holds it", () =>
  withFolder(async (path) => {
    await using _first = await DataDirectory.open({ path, identity, disk });
    const script = `
      import { DataDirectory } from ${
      JSON.stringify(new URL("./data_directory.ts", import.meta.url).href)
    };
      import { systemDisk as disk } from ${
      JSON.stringify(new URL("./system_disk.ts", import.meta.url).href)
    };
      try {
        await DataDirectory.open({ path: ${JSON.stringify(path)}, identity: ${
      JSON.stringify(identity)
    }, disk });
      } catch (error) {
        console.log(JSON.stringify([error.code, error.message, error.details.processId]));
      }`;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", script],
      stdout: "piped",
    }).output();
    const [code, message, processId] = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    assertEquals(code, "store_locked");
    assertEquals(processId, Deno.pid);
    assert(message.includes(path) && message.includes(String(Deno.pid)));
    assertEquals((await refused(path)).code, "store_locked");
  }));

Deno.test("DataDirectory.open() refuses the folder of another node or cluster, or with another ring size or number of masters", () =>
  withFolder(async (path) => {
    await create(path);
    const codes = [];
    for (
      const other of [
        { name: "dev2@127.0.0.1" },
        { cluster: "other" },
        { ringSize: 128 },
        { masters: 1 },
      ]
    ) codes.push((await refused(path, { ...identity, ...other })).code);
    assertEquals(codes, [
      "store_foreign",
      "store_foreign",
      "invalid_config",
      "invalid_config",
    ]);
    await create(path);
  }));

Deno.test("DataDirectory.open() refuses a folder with other files in it and leaves it unchanged", () =>
  withFolder(async (path) => {
    await Deno.mkdir(path, { mode: 0o755 });
    await Deno.writeTextFile(`${path}/thesis.txt`, "precious");
    const error = await refused(path);
    assertEquals(error.code, "store_foreign");
    assert(error.message.includes("thesis.txt"));
    const names = [...Deno.readDirSync(path)].map(({ name }) => name);
    assertEquals(names, ["thesis.txt"]);
    // Whichever order the system has them in.
    for (const listed of [["b", "a"], ["a", "b"]]) {
      const named = await assertRejects(
        () =>
          DataDirectory.open({
            path,
            identity,
            disk: { ...disk, names: () => Promise.resolve([...listed]) },
          }),
        WhorlError,
      ) as WhorlError;
      assertEquals(named.details.stranger, "a");
    }
  }));

Deno.test("DataDirectory.open() refuses a newer format and names both versions", () =>
  withFolder(async (path) => {
    await create(path);
    await Deno.writeTextFile(`${path}/FORMAT`, "whorl-data 2\n");
    const error = await refused(path);
    assertEquals(error.code, "store_format");
    assert(error.message.endsWith("1 or older: current value is 2"));
    await Deno.writeTextFile(`${path}/FORMAT`, "");
    assertEquals((await refused(path)).code, "store_corrupt");
  }));

Deno.test("DataDirectory.open() finds every flipped bit in its identity and names the file", () =>
  withFolder(async (path) => {
    await create(path);
    const file = `${path}/identity.json`;
    const sound = await Deno.readFile(file);
    for (let at = 0; at < sound.length; at++) {
      const damaged = sound.slice();
      damaged[at] = (damaged[at] as number) ^ 1 << at % 8;
      await Deno.writeFile(file, damaged);
      const error = await refused(path);
      assert(
        isWhorlError(error, "store_corrupt") ||
          isWhorlError(error, "store_format"),
        `byte ${at}: ${error.message}`,
      );
      assert(error.message.includes(file));
    }
    await Deno.remove(file);
    assertEquals((await refused(path)).code, "store_corrupt");
  }));

Deno.test("DataDirectory.open() follows no symbolic link", () =>
  withFolder(async (path) => {
    await create(path);
    const outside = `${path}-outside`;
    for (
      const name of ["LOCK", "FORMAT", "identity.json", "incarnation.json"]
    ) {
      await Deno.rename(`${path}/${name}`, outside);
      await Deno.symlink(outside, `${path}/${name}`);
      const error = await refused(path);
      assertEquals(error.code, "store_foreign", name);
      await Deno.remove(`${path}/${name}`);
      await Deno.rename(outside, `${path}/${name}`);
    }
    await Deno.symlink(path, `${path}-link`);
    assertEquals((await refused(`${path}-link`)).code, "store_foreign");
  }));

Deno.test("DataDirectory.open() names the path that it cannot use", () =>
  withFolder(async (path) => {
    await Deno.writeTextFile(path, "a file");
    for (const one of [path, `${path}/deeper`]) {
      const error = await refused(one);
      assertEquals(error.code, "store_unavailable");
      assert(error.message.includes(one));
    }
    const error = await refused(`${path}-missing/data`);
    assertEquals(error.code, "store_unavailable");
  }));

Deno.test("DataDirectory keeps its records over a restart, replaces them atomically, and keeps them inside its folder", () =>
  withFolder(async (path) => {
    {
      await using data = await DataDirectory.open({ path, identity, disk });
      assertEquals(await data.readRecord("ring"), undefined);
      await data.writeRecord("ring", { version: 1, owners: [1, 2, "ü"] });
      // A content JSON cannot express fails alone.
      const writes = [1n, 3, 2].map((version) =>
        data.writeRecord("ring", { version })
      );
      await assertRejects(() => writes[0] as Promise<void>, WhorlError);
      await Promise.all(writes.slice(1));
      for (const name of ["../ring", "a/b", "", ".", "Ring", "a.b"]) {
        assertThrows(() => data.readRecord(name), WhorlError, "record");
        await assertRejects(() => data.writeRecord(name, 1), WhorlError);
      }
    }
    await using again = await DataDirectory.open({ path, identity, disk });
    assertEquals(await again.readRecord("ring"), { version: 2 });
    await Deno.writeTextFile(
      `${path}/ring.json`,
      "whorl-record 1 00000000\n{}",
    );
    const error = await assertRejects(
      () => again.readRecord("ring"),
      WhorlError,
      "ring.json",
    ) as WhorlError;
    assertEquals(error.code, "store_corrupt");
    await again.close();
    await again.close();
    assertThrows(() => again.readRecord("ring"), WhorlError, "closed");
  }));
