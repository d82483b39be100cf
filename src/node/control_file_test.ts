import { assertEquals, assertRejects } from "@std/assert";
import { inTempDirectory } from "../environment/testing/temp_directory.ts";
import { WhorlError } from "../base/errors.ts";
import {
  CONTROL_FILE_NAME,
  readControlFile,
  removeControlFile,
  writeControlFile,
} from "./control_file.ts";

const control = {
  node: "dev1@127.0.0.1",
  address: "127.0.0.1:10101",
  pid: 4711,
  cookieFile: "/somewhere/cookie",
};

Deno.test("readControlFile() returns what writeControlFile() wrote", () =>
  inTempDirectory(async (directory) => {
    await writeControlFile(directory, control);
    assertEquals(await readControlFile(directory), control);
  }));

Deno.test("readControlFile() is undefined if no node ever ran", () =>
  inTempDirectory(async (directory) => {
    assertEquals(await readControlFile(directory), undefined);
    assertEquals(await readControlFile(`${directory}/nowhere`), undefined);
  }));

Deno.test("removeControlFile() leaves the file of a newer process alone", () =>
  inTempDirectory(async (directory) => {
    await writeControlFile(directory, control);
    await removeControlFile(directory, 1);
    assertEquals(await readControlFile(directory), control);
    await removeControlFile(directory, 4711);
    assertEquals(await readControlFile(directory), undefined);
  }));

Deno.test("readControlFile() refuses a file it does not understand and names it", () =>
  inTempDirectory(async (directory) => {
    for (const text of ["", "{", "null", '{"format":2}', '{"format":1}']) {
      await Deno.writeTextFile(`${directory}/${CONTROL_FILE_NAME}`, text);
      const error = await assertRejects(
        () => readControlFile(directory),
        WhorlError,
        CONTROL_FILE_NAME,
      );
      assertEquals((error as WhorlError).code, "invalid_config");
    }
  }));
