// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "cli/commands/commands.h"
#include "cli/text.h"

namespace faultline::cli {

Result<int> run_schema(Invocation& call, Console& console) {
  if (!call.has("crd"))
    print_json(console.out, api::experiment_schema());
  else if (call.json())
    print_json(console.out, api::experiment_crd());
  else
    console.out << api::experiment_crd_yaml();
  return kExitMet;
}

}  // namespace faultline::cli
