import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "./errors.ts";
import { checkNodeName } from "./node_name.ts";

Deno.test("checkNodeName() takes name@host and nothing that is a path", () => {
  for (const good of ["dev1@127.0.0.1", "a@b", "node_1.x-y@host-2.example"]) {
    checkNodeName(good);
  }
  for (
    const bad of [
      "",
      "dev1",
      "@host",
      "dev1@",
      "../dev1@host",
      "/etc/passwd@host",
      "a/b@host",
      "a..b@host",
      "dev1@../x",
      "Dev1@host",
      ".dev@host",
      "a\0@host",
      "a@b@c",
      "a@b\n",
      "x".repeat(64) + "@host",
    ]
  ) {
    const error = assertThrows(() => checkNodeName(bad), WhorlError);
    assertEquals((error as WhorlError).code, "invalid_name");
  }
});
