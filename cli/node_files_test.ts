import { assert, assertEquals, assertRejects } from "@std/assert";
import { inTempDirectory } from "../src/environment/testing/temp_directory.ts";
import { WhorlError } from "../src/base/errors.ts";
import { readOrCreateCookie } from "./cookie_file.ts";
import { LogFile } from "./log_file.ts";
import { makeNodeDirectory } from "./node_directory.ts";
import { pidOfParent, takePidFile } from "./pid_file.ts";

Deno.test("readOrCreateCookie() creates one secret for concurrent callers, readable only by the owner", () =>
  inTempDirectory(async (directory) => {
    const path = `${directory}/cookie`;
    const cookies = await Promise.all(
      Array.from({ length: 8 }, () => readOrCreateCookie(path)),
    );
    assertEquals(new Set(cookies).size, 1);
    assertEquals(cookies[0]?.length, 48);
    assertEquals(await readOrCreateCookie(path), cookies[0]);
    if (Deno.build.os !== "windows") {
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    }
    const names = (await Array.fromAsync(Deno.readDir(directory)))
      .map(({ name }) => name);
    assertEquals(names, ["cookie"], "nothing is left behind");
  }));

Deno.test("readOrCreateCookie() names a file that can be neither read nor created", () =>
  inTempDirectory(async (directory) => {
    for (const path of [directory, `${directory}/no/where`]) {
      const error = await assertRejects(
        () => readOrCreateCookie(path),
        WhorlError,
        path,
      );
      assertEquals((error as WhorlError).code, "invalid_config");
    }
  }));

Deno.test("takePidFile() admits one process at a time, and ignores dead ones", () =>
  inTempDirectory(async (directory) => {
    assertEquals(await pidOfParent(directory), undefined);
    {
      using _held = await takePidFile(directory);
      assertEquals(await pidOfParent(directory), Deno.pid);
      const error = await assertRejects(
        () => takePidFile(directory),
        WhorlError,
        String(Deno.pid),
      );
      assertEquals((error as WhorlError).code, "store_locked");
    }
    assertEquals(await pidOfParent(directory), undefined);
    // Left behind by a crash: nobody holds it, whatever it says.
    await Deno.writeTextFile(`${directory}/whorl.pid`, "1\n");
    assertEquals(await pidOfParent(directory), undefined);
    using _ours = await takePidFile(directory);
    assertEquals(await pidOfParent(directory), Deno.pid);
  }));

Deno.test("LogFile rotates a full file and keeps one older file", () =>
  inTempDirectory(async (directory) => {
    const path = `${directory}/node.log`;
    {
      using log = new LogFile(path, 20);
      for (let i = 1; i <= 5; i++) log.write(`line ${i}`);
    }
    assertEquals(await Deno.readTextFile(path), "line 5\n");
    assertEquals(await Deno.readTextFile(`${path}.1`), "line 3\nline 4\n");
    {
      using log = new LogFile(path, 20);
      log.write("line 6");
    }
    assertEquals(await Deno.readTextFile(path), "line 5\nline 6\n");
  }));

Deno.test("makeNodeDirectory() accepts an empty or known folder and refuses any other", () =>
  inTempDirectory(async (directory) => {
    await makeNodeDirectory(`${directory}/a/b`);
    await Deno.writeTextFile(`${directory}/a/b/cookie`, "x");
    await Deno.writeTextFile(`${directory}/a/b/notes.txt`, "x");
    await makeNodeDirectory(`${directory}/a/b`);
    const strange = await assertRejects(
      () => makeNodeDirectory(`${directory}/a`),
      WhorlError,
      "it holds b",
    );
    assertEquals((strange as WhorlError).code, "store_foreign");
    const file = `${directory}/a/b/cookie`;
    const error = await assertRejects(
      () => makeNodeDirectory(file),
      WhorlError,
    );
    assert((error as WhorlError).message.includes(file));
    assertEquals((error as WhorlError).code, "store_unavailable");
  }));
