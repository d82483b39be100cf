/**
 * The tree as the rules see it: files, the TypeScript ones among them read into
 * tokens and references, and the arrows between them.
 *
 * @module
 */
import {
  type ModuleReference,
  moduleReferences,
  scanTokens,
  type Token,
} from "./source_scan.ts";

/** One file of the tree. */
export interface SourceFile {
  /** From the root of the tree, with `/` between names. */
  readonly path: string;
  readonly text: string;
}

/** A TypeScript file, read. */
export interface Module {
  readonly path: string;
  readonly tokens: readonly Token[];
  /** The tokens without comments. */
  readonly code: readonly Token[];
  readonly references: readonly ModuleReference[];
}

/** Reads each TypeScript file among `files`. */
export function readModules(files: readonly SourceFile[]): Module[] {
  return files.filter(({ path }) => path.endsWith(".ts")).map((file) => {
    const tokens = scanTokens(file.text);
    const code = tokens.filter((token) => token.kind !== "comment");
    return {
      path: file.path,
      tokens,
      code,
      references: moduleReferences(code),
    };
  });
}

/** Whether `path` is a test or only there for tests. */
export function isTest(path: string): boolean {
  return /_test\.ts$|(^|\/)(tests|testing|testdata)\//.test(path);
}

/** Whether people who import Whorl from a URL, or install its command, load `path`. */
export function isPublished(path: string): boolean {
  return !isTest(path) && /^(mod\.ts$|src\/|supervisors\/|cli\/)/.test(path);
}

/** The folder of `path`, with its last `/`. */
export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** The path in the tree that `specifier` names in `path`; undefined unless it is relative and TypeScript. */
function target(
  path: string,
  specifier: string | undefined,
): string | undefined {
  if (!specifier?.startsWith(".") || !specifier.endsWith(".ts")) {
    return undefined;
  }
  return new URL(folderOf(path) + specifier, "file:///").pathname.slice(1);
}

/** One file naming another file of the tree. */
export interface Arrow {
  readonly module: Module;
  readonly reference: ModuleReference;
  readonly to: string;
}

/** Every file of the tree that `module` names. */
export function arrowsOf(module: Module): Arrow[] {
  return module.references.flatMap((reference) => {
    const to = target(module.path, reference.specifier);
    return to === undefined ? [] : [{ module, reference, to }];
  });
}

/** A violation, as `path:line: what`. */
export function at({ path }: Module, line: number, what: string): string {
  return `${path}:${line}: ${what}`;
}
