// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>

#include "api/codec.h"
#include "cli/commands/commands.h"
#include "cli/text.h"

namespace faultline::cli {

Result<int> run_schema(Invocation&, Console& console) {
  print_json(console.out, api::experiment_schema());
  return kExitMet;
}

}  // namespace faultline::cli
