import { assertEquals, assertRejects } from "@std/assert";
import type { DiskEntry } from "../environment/disk.ts";
import { moduleConfigFlags } from "./module_config.ts";

/** A disk with these files, on which only what is below `readable` may be read. */
function diskWith(files: readonly string[], readable = "/") {
  return {
    entry(path: string): Promise<DiskEntry | undefined> {
      if (!path.startsWith(readable)) {
        return Promise.reject(new Deno.errors.NotCapable(path));
      }
      return Promise.resolve(
        files.includes(path) ? { type: "file", sizeBytes: 2 } : undefined,
      );
    },
  };
}

Deno.test("moduleConfigFlags() names the deno.json nearest above a module", async () => {
  const disk = diskWith(["/deno.json", "/shop/deno.jsonc", "/shop/x/other"]);
  assertEquals(
    await moduleConfigFlags("file:///shop/src/a%20b/vnode.ts", disk),
    ["--config=/shop/deno.jsonc"],
  );
  assertEquals(await moduleConfigFlags("file:///vnode.ts", disk), [
    "--config=/deno.json",
  ]);
});

Deno.test("moduleConfigFlags() names none for a module without one", async () => {
  const disk = diskWith(["/deno.json"]);
  assertEquals(
    await moduleConfigFlags("file:///shop/vnode.ts", diskWith([])),
    [],
  );
  assertEquals(
    await moduleConfigFlags("http://127.0.0.1/vnode.ts", disk),
    [],
  );
});

Deno.test("moduleConfigFlags() skips files it may not read, and no others", async () => {
  assertEquals(
    await moduleConfigFlags(
      "file:///shop/src/vnode.ts",
      diskWith(["/deno.json"], "/shop/src"),
    ),
    [],
  );
  await assertRejects(
    () =>
      moduleConfigFlags("file:///shop/vnode.ts", {
        entry: () => Promise.reject(new Error("disk is broken")),
      }),
    Error,
    "disk is broken",
  );
});
