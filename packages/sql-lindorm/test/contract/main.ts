/** `pnpm contract lindorm`, that is a server that behaves like LindormTable's, and `lindorm-plain`, Avatica's own. */
import * as ContractCommand from "@dbpool/testing/ContractCommand"
import * as Dialect from "./dialect.js"

ContractCommand.main({
  "lindorm": { dialect: Dialect.lindorm },
  "lindorm-plain": { dialect: Dialect.plain }
})
