/**
 * A disk that is full: the write that meets it is told so, what was acknowledged
 * stays, and the store works again once it is opened with space to spare.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { openStore } from "../../src/storage/open_store.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

/** Runs a program and tells whether it succeeded. */
async function run(program: string, ...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(program, {
    args,
    stderr: "null",
  }).output();
  return success;
}

const isLinuxRoot = Deno.build.os === "linux" && Deno.uid() === 0;

/** Mounting a small file system takes root; where it isn't given, nothing here can be full. */
const canMount = isLinuxRoot && await (async () => {
  const probe = await Deno.makeTempDir();
  try {
    return await run("mount", "-t", "tmpfs", "-o", "size=64k", "none", probe) &&
      await run("umount", probe);
  } finally {
    await Deno.remove(probe);
  }
})();

Deno.test({
  name:
    "Deno KV store says store_full on a full disk and loses nothing acknowledged",
  ignore: !canMount,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "whorl-full-" });
    assert(await run("mount", "-t", "tmpfs", "-o", "size=3m", "none", folder));
    const config = { type: "deno_kv", path: `${folder}/store` } as const;
    const key = (i: number) => new Uint8Array([i >> 8, i]);
    const value = (i: number) => new Uint8Array(1000).fill(i);
    try {
      // Space that a person could free.
      await Deno.writeFile(`${folder}/ballast`, new Uint8Array(1_000_000));
      let acknowledged = 0;
      {
        await using store = await openStore(config, systemStorage);
        const partition = store.partition(0);
        let failure: Error | undefined;
        for (let i = 0; failure === undefined; i++) {
          failure = await new Promise((resolve) =>
            partition.write([{ key: key(i), value: value(i) }], resolve)
          );
          if (failure === undefined) acknowledged++;
        }
        if (!(failure instanceof WhorlError)) throw failure;
        assertEquals(failure.code, "store_full");
        assert(failure.message.includes(config.path));
        assert(acknowledged > 10);
        const later = assertThrows(
          () => partition.write([], () => {}),
          WhorlError,
        ) as WhorlError;
        assertEquals(later.code, "store_full");
        assertEquals(await partition.get(key(0)), value(0));
      }
      await Deno.remove(`${folder}/ballast`);
      await using store = await openStore(config, systemStorage);
      assert(!store.state.tailLost);
      const partition = store.partition(0);
      for (let i = 0; i < acknowledged; i++) {
        assertEquals(await partition.get(key(i)), value(i));
      }
      await new Promise<void>((resolve, reject) =>
        partition.write(
          [{ key: key(0), value: key(7) }],
          (error) => error === undefined ? resolve() : reject(error),
        )
      );
      assertEquals(await partition.get(key(0)), key(7));
    } finally {
      assert(await run("umount", folder));
      await Deno.remove(folder);
    }
  },
});
