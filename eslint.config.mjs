import dprint from "@effect/eslint-plugin/configs/dprint"
import * as effect from "@effect/eslint-plugin/plugin"
import sortDestructureKeys from "eslint-plugin-sort-destructure-keys"
import tseslint from "typescript-eslint"

const sources = ["**/*.{ts,mjs}"]

export default tseslint.config(
  { ignores: ["**/dist/", "**/build/", "**/coverage/", "**/.snippets/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: sources, extends: [tseslint.configs.recommended, dprint] },
  {
    files: sources,
    plugins: { "@effect": effect, "sort-destructure-keys": sortDestructureKeys },
    rules: {
      // It sorts the imports too.
      "@effect/dprint": ["error", {
        config: {
          indentWidth: 2,
          lineWidth: 120,
          operatorPosition: "maintain",
          semiColons: "asi",
          quoteStyle: "alwaysDouble",
          trailingCommas: "never",
          "arrowFunction.useParentheses": "force"
        }
      }],
      "@effect/no-import-from-barrel-package": ["error", {
        packageNames: [
          "effect",
          "@effect/cli",
          "@effect/experimental",
          "@effect/platform",
          "@effect/platform-node",
          "@effect/sql",
          "@effect/sql-pg",
          "@dbpool/core",
          "@dbpool/sql",
          "@dbpool/sql-pg",
          "@dbpool/testing"
        ]
      }],
      "@typescript-eslint/array-type": ["error", { default: "generic", readonly: "generic" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/no-empty-object-type": ["error", { allowInterfaces: "always" }],
      // Variance, inference sites and `Effect<any, any, any>` bounds have no other spelling.
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-namespace": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unused-vars": ["error", {
        argsIgnorePattern: "^_",
        caughtErrorsIgnorePattern: "^_",
        destructuredArrayIgnorePattern: "^_",
        varsIgnorePattern: "^_"
      }],
      "no-restricted-syntax": ["error", {
        // A long array overflows the stack.
        selector: "CallExpression[callee.property.name='push'] > SpreadElement.arguments",
        message: "Do not spread into push."
      }],
      "object-shorthand": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      // Generators are effects here; one that yields nothing is an effect that happens to need nothing.
      "require-yield": "off",
      "sort-destructure-keys/sort-destructure-keys": "error"
    }
  },
  {
    files: ["packages/*/src/**"],
    ignores: ["packages/examples/**"],
    rules: { "no-console": "error" }
  }
)
