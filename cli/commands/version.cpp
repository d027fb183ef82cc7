// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/text.h"

namespace faultline::cli {

Result<int> run_version(Invocation& call, Console& console) {
  if (call.json())
    print_json(console.out, boost::json::object{{"version", FAULTLINE_VERSION}});
  else
    console.out << "faultline " FAULTLINE_VERSION "\n";
  return kExitMet;
}

}  // namespace faultline::cli
