/**
 * The files of a new application, made from those in `templates/application/`.
 * These are an application themselves, called `app_name`, which is type-checked
 * with the rest of the tree; here it gets another name, and is told where Whorl
 * is.
 *
 * They are imported as text and not read, so that they are there as well when
 * the command is run from a URL.
 *
 * @module
 */
import api from "../../templates/application/app_name_api.ts" with {
  type: "text",
};
import nodes from "../../templates/application/app_name_nodes.ts" with {
  type: "text",
};
import simulation from "../../templates/application/app_name_simulation.ts" with {
  type: "text",
};
import vnode from "../../templates/application/app_name_vnode.ts" with {
  type: "text",
};
import config from "../../templates/application/deno.template.json" with {
  type: "text",
};
import gitignore from "../../templates/application/gitignore" with {
  type: "text",
};
import main from "../../templates/application/main.ts" with { type: "text" };
import readme from "../../templates/application/README.md" with {
  type: "text",
};
import { spellingsOf } from "./application_name.ts";

/** Where templates say that Whorl is. */
const WHORL = "https://whorl.invalid/";
/** The flag by which they may import it. */
const IMPORT_FLAG = " --allow-import=whorl.invalid";

/** The templates by the path they get; tests are none before they are somebody's. */
const TEMPLATES: Readonly<Record<string, string>> = {
  ".gitignore": gitignore,
  "README.md": readme,
  "app_name_api.ts": api,
  "app_name_nodes_test.ts": nodes,
  "app_name_simulation_test.ts": simulation,
  "app_name_vnode.ts": vnode,
  "deno.json": config,
  "main.ts": main,
};

/**
 * The files of an application, by path.
 *
 * @param name What it is called, without a `nameProblem`.
 * @param whorl The folder of Whorl's `mod.ts`, with its last `/`.
 */
export function applicationFiles(
  name: string,
  whorl: URL,
): ReadonlyMap<string, string> {
  const { snake, camel, pascal } = spellingsOf(name);
  const named = (text: string): string =>
    text.replaceAll("app_name", snake).replaceAll("appName", camel)
      .replaceAll("AppName", pascal);
  // Files are read, and need no permission to be imported.
  const flag = whorl.host === "" ? "" : ` --allow-import=${whorl.host}`;
  return new Map(
    Object.entries(TEMPLATES).map(([path, text]) => [
      named(path),
      named(text).replaceAll(IMPORT_FLAG, flag).replaceAll(WHORL, whorl.href),
    ]),
  );
}
