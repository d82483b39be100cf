/**
 * `whorl new`: the beginning of an application.
 *
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { WhorlError } from "../../src/base/errors.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { applicationFiles } from "../new/application_files.ts";
import { nameProblem } from "../new/application_name.ts";

/** The Whorl this command belongs to. */
const WHORL_DEFAULT = new URL("../../mod.ts", import.meta.url).href;

/** `whorl new` */
export const newCommand: Command = {
  name: "new",
  summary: "begin an application, with tests that pass",
  about:
    "Makes a directory with a vnode module that keeps lists of entries, an API for it, a node with a prompt, " +
    "and two tests: one on simulated clusters that crash and split, one on three real processes. " +
    '"deno task test" in it passes as it is, and dev1, dev2 and dev3 are nodes to try it on. Change it into ' +
    "what you want.\n\n" +
    "Its deno.json says where Whorl is: the one this command belongs to, unless --whorl names another.",
  positionals: [{
    name: "NAME",
    says: "what it is called: small letters, digits and _",
  }],
  flags: [
    {
      name: "directory",
      value: "DIR",
      says: "where to put it; must be empty, or not there",
      default: "NAME",
    },
    {
      name: "whorl",
      value: "FILE|URL",
      says: "the mod.ts of the Whorl it is to use",
      default: "the one beside this command",
    },
  ],
  examples: [
    { line: "new shopping_list", says: "an application in ./shopping_list" },
    {
      line: "new shop --whorl https://example.org/whorl@0.1.0/mod.ts",
      says: "one that has Whorl from a URL",
    },
  ],
  async run(invocation, world): Promise<number> {
    const name = invocation.words[0]!;
    const problem = nameProblem(name);
    if (problem !== undefined) {
      throw new UsageError(
        `Cannot call an application ${
          JSON.stringify(name)
        } as its name ${problem}${suggestion(name)}`,
      );
    }
    const whorl = whorlUrl(invocation.text("whorl") ?? WHORL_DEFAULT);
    const directory = resolve(invocation.text("directory") ?? name);
    const files = applicationFiles(name, new URL("./", whorl));
    await makeEmpty(directory);
    for (const [path, text] of files) {
      await Deno.writeTextFile(join(directory, path), text, {
        createNew: true,
      });
    }
    const { output } = world;
    if (invocation.on("json")) {
      writeJson(output, {
        name,
        directory,
        whorl: whorl.href,
        files: [...files.keys()],
      });
      return ExitCode.ok;
    }
    output.write(
      `${name} is in ${directory}: ${files.size} files, and Whorl from ${whorl.href}\n\n` +
        `  cd ${invocation.text("directory") ?? name}\n` +
        "  deno task test   # types, simulated clusters, three real processes\n" +
        "  deno task dev1   # a node with a prompt; dev2 and dev3 join it\n",
    );
    return ExitCode.ok;
  },
};

/** What the name could be instead, if there is a likely one. */
function suggestion(name: string): string {
  // Who gives a path means where to put it, and how it ends is the name.
  const last = name.replace(/\/+$/, "").replace(/^.*\//, "");
  const other = last.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^[_0-9]+|_+$/g, "");
  if (other === name || nameProblem(other) !== undefined) return "";
  const where = name.includes("/") ? `, with --directory ${name}` : "";
  return `. ${JSON.stringify(other)} would do${where}`;
}

function whorlUrl(text: string): URL {
  const url = /^[a-z][a-z+.-]+:/i.test(text)
    ? new URL(text)
    : pathToFileURL(resolve(text));
  if (
    ["http:", "https:", "file:"].includes(url.protocol) &&
    url.pathname.endsWith("/mod.ts")
  ) return url;
  throw new UsageError(
    `--whorl must be a file or an http(s) URL that ends with /mod.ts: it is ${
      JSON.stringify(text)
    }`,
  );
}

/** Makes `directory`, or makes sure that nothing is in it. */
async function makeEmpty(directory: string): Promise<void> {
  const refuse = (rule: string, cause?: unknown): WhorlError =>
    new WhorlError(
      "invalid_argument",
      `Cannot begin an application in ${directory} as ${rule}`,
      { details: { directory }, cause },
    );
  try {
    await Deno.mkdir(directory, { recursive: true });
    for await (const { name } of Deno.readDir(directory)) {
      throw refuse(`it must be empty: it holds ${name}`);
    }
  } catch (error) {
    if (
      error instanceof Deno.errors.AlreadyExists ||
      error instanceof Deno.errors.NotADirectory
    ) throw refuse("that is no directory", error);
    if (
      error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotCapable
    ) {
      throw refuse(
        `${dirname(directory)} must be writable: ${error.message}`,
        error,
      );
    }
    throw error;
  }
}
