import { assert, assertEquals, assertMatch } from "@std/assert";
import { inTempDirectory } from "../../src/environment/testing/temp_directory.ts";
import { applicationFiles } from "../new/application_files.ts";
import { nameProblem } from "../new/application_name.ts";
import { run } from "../testing/fake_world.ts";

async function namesIn(directory: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(directory));
  return names.map(({ name }) => name).sort();
}

Deno.test("new creates an application of that name and says what to do next", () =>
  inTempDirectory(async (directory) => {
    const target = `${directory}/below/shop`;
    const { code, out } = await run(["new", "shop", `--directory=${target}`]);
    assertEquals(code, 0);
    assertMatch(out, /^shop is in \S+\/below\/shop: 8 files/);
    assertMatch(out, /deno task test/);
    assertEquals(await namesIn(target), [
      ".gitignore",
      "README.md",
      "deno.json",
      "main.ts",
      "shop_api.ts",
      "shop_nodes_test.ts",
      "shop_simulation_test.ts",
      "shop_vnode.ts",
    ]);
  }));

Deno.test("new tells a script what it created", () =>
  inTempDirectory(async (directory) => {
    const { code, out } = await run([
      "new",
      "shop",
      "--json",
      `--directory=${directory}`,
      "--whorl=https://example.org/whorl@0.1.0/mod.ts",
    ]);
    const { files, ...rest } = JSON.parse(out);
    assertEquals([code, files.length], [0, 8]);
    assertEquals(rest, {
      name: "shop",
      directory,
      whorl: "https://example.org/whorl@0.1.0/mod.ts",
    });
  }));

Deno.test("new refuses a directory that is not empty, and leaves it as it is", () =>
  inTempDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/notes`, "mine");
    const { code, remarks, out } = await run([
      "new",
      "shop",
      `--directory=${directory}`,
    ]);
    assertEquals([code, out], [1, ""]);
    assertMatch(remarks, /must be empty: it holds notes \(invalid_argument\)/);
    assertEquals(await namesIn(directory), ["notes"]);
    for (const path of [`${directory}/notes`, `${directory}/notes/below`]) {
      const onFile = await run(["new", "shop", `--directory=${path}`]);
      assertEquals(onFile.code, 1);
      assertMatch(onFile.remarks, /that is no directory/);
    }
  }));

Deno.test("new refuses names that are invalid in code, and suggests a valid one", async () => {
  const refused = {
    "my-shop": /must be small letters.* "my_shop" would do/,
    "Shop": /"shop" would do/,
    "2nd": /"nd" would do/,
    "shop__x": /"shop_x" would do/,
    "_": /must be small letters[^.]*$/m,
    ["a".repeat(33)]: /at most 32 characters/,
    "class": /must not be a word of JavaScript/,
    "kv": /must not be a name of Whorl's own/,
    "fetch": /must not be a global name/,
    "ra_kv": /must not be a name of Whorl's own/,
    "../up": /must be small letters.* "up" would do, with --directory \.\.\/up/,
  };
  for (const [name, message] of Object.entries(refused)) {
    const { code, remarks } = await run(["new", name]);
    assertEquals(code, 2, name);
    assertMatch(remarks, message, name);
  }
  assertEquals(nameProblem("shopping_list_2"), undefined);
  assertEquals(nameProblem("a".repeat(32)), undefined);
});

Deno.test("new refuses a Whorl URL that is not a mod.ts", async () => {
  for (const whorl of ["https://example.org/", "ftp://x/mod.ts", "main.ts"]) {
    const { code, remarks } = await run(["new", "shop", `--whorl=${whorl}`]);
    assertEquals(code, 2);
    assertMatch(remarks, /--whorl must be a file or an http\(s\) URL/);
  }
});

Deno.test("applicationFiles() replaces every occurrence of the template's name and of its Whorl URL", () => {
  const whorls = ["https://example.org:8080/w/", "file:///w/"];
  for (const whorl of whorls.map((text) => new URL(text))) {
    const files = applicationFiles("shopping_list", whorl);
    for (const [path, text] of files) {
      assert(!/app_?name|whorl\.invalid/i.test(`${path} ${text}`), path);
    }
    const { imports, tasks } = JSON.parse(files.get("deno.json") ?? "");
    assertEquals(imports, {
      "@whorl/whorl": `${whorl.href}mod.ts`,
      "@whorl/whorl/causality": `${whorl.href}src/causality/mod.ts`,
      "@whorl/whorl/environment": `${whorl.href}src/environment/mod.ts`,
      "@whorl/whorl/supervisors": `${whorl.href}supervisors/mod.ts`,
      "@whorl/whorl/testing": `${whorl.href}src/simulation/mod.ts`,
    });
    const isRemote = whorl.protocol === "https:";
    for (const name of ["test", "check", "dev1", "dev2", "dev3"]) {
      const flag = " --allow-import=example.org:8080";
      assertEquals(tasks[name].includes(flag), isRemote, name);
    }
    const vnode = files.get("shopping_list_vnode.ts") ?? "";
    assertMatch(vnode, /class ShoppingListVnode/);
    assertMatch(vnode, /export default shoppingListModule/);
  }
});
