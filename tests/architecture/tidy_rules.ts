/**
 * What a published module may depend on, how files are named and begin, and
 * what has no business being committed.
 *
 * @module
 */
import {
  at,
  isPublished,
  isTest,
  type Module,
  readModules,
  type SourceFile,
} from "./source_module.ts";

/** Published modules run for people who have neither our import map nor any registry but npm. */
export function dependencyViolations(modules: readonly Module[]): string[] {
  const versions = new Map<string, string>();
  return modules.filter(({ path }) => isPublished(path)).flatMap((module) =>
    module.references.flatMap(({ specifier, line }) => {
      if (specifier === undefined || /^(\.|node:)/.test(specifier)) return [];
      const npm = /^npm:((?:@[^/@]+\/)?[^/@]+)(?:@([^/]*))?/.exec(specifier);
      if (!npm) {
        return [at(module, line, `"${specifier}" is no inline npm specifier`)];
      }
      const [, name, version = ""] = npm;
      if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
        return [at(module, line, `"${specifier}" pins no exact version`)];
      }
      const first = versions.getOrInsert(name!, version);
      return first === version
        ? []
        : [at(module, line, `"${specifier}" is used as ${first} elsewhere`)];
    })
  );
}

/** A file's name says what is in it. */
export function nameViolations(files: readonly SourceFile[]): string[] {
  return files.filter(({ path }) =>
    /(^|[/_])(utils?|helpers?|commons?|types|misc)(_test)?\.ts$/.test(path)
  ).map(({ path }) => `${path}: find the noun`);
}

/** A module of the library begins by saying what it is. */
export function headerViolations(modules: readonly Module[]): string[] {
  return modules.filter(({ path, tokens }) => {
    if (!/^(mod\.ts$|src\/|supervisors\/)/.test(path) || isTest(path)) {
      return false;
    }
    const first = tokens.find((token) => !token.text.startsWith("#!"));
    const isHeader = first?.kind === "comment" && first.text.startsWith("/**");
    return !isHeader || !/^ \* @module\b/m.test(first.text);
  }).map(({ path }) => `${path}:1: has no @module comment at its top`);
}

// Written so that they do not find themselves.
const MARKER = /\b(TO{1}DO|FIX{1}ME|X{3})\b/;
const SWITCHED_OFF =
  /^(ignore:true|only:true|sanitize(Ops|Resources|Exit):false)$/;
const SINGLED_OUT = /^(test|it|describe|bench)\.(only|ignore|skip)\($/;

/** Nothing is left for later, and no test is skipped, singled out or blinded. */
export function leftoverViolations(files: readonly SourceFile[]): string[] {
  const marked = (path: string, line: number, text: string): string[] => {
    const marker = MARKER.exec(text);
    return marker ? [`${path}:${line}: ${marker[0]}`] : [];
  };
  const modules = readModules(files);
  const inText = files.filter(({ path }) => !path.endsWith(".ts")).flatMap((
    file,
  ) =>
    file.text.split("\n").flatMap((line, i) => marked(file.path, i + 1, line))
  );
  const inComments = modules.flatMap((module) =>
    module.tokens.filter((token) => token.kind === "comment")
      .flatMap((token) => marked(module.path, token.line, token.text))
  );
  const inTests = modules.flatMap((module) =>
    module.code.flatMap((token, i) => {
      const text = (from: number, to: number): string =>
        module.code.slice(Math.max(0, i + from), i + to).map((t) => t.text)
          .join("");
      if (SWITCHED_OFF.test(text(0, 3))) {
        return [at(module, token.line, text(0, 3))];
      }
      return SINGLED_OUT.test(text(-2, 2))
        ? [at(module, token.line, text(-2, 1))]
        : [];
    })
  );
  return [...inText, ...inComments, ...inTests];
}
