// SPDX-License-Identifier: Apache-2.0
// Watches one run until its end, over the controller's event stream.
#pragma once

#include <functional>
#include <string>

#include "cli/controller_api.h"
#include "cli/interrupt.h"

namespace faultline::cli {

struct FollowOptions {
  bool stop_on_interrupt = true;  // else an interrupt only ends the watching
  // How long a controller may be out of reach before we give up.
  std::chrono::milliseconds patience{15'000};
  // The stream says something every 0.5 s while a run goes on; silence for this long is looked
  // into.
  std::chrono::milliseconds silence{5'000};
  std::function<Result<>()> alive;  // asked when the stream breaks; an Error ends the patience
};

struct Followed {
  api::RunSummary last;
  bool interrupted = false;  // by the person
};

// `on_summary` is called for each state that arrives, also the last; `say` gets lines for the
// person: "stopping ...", "lost touch ...". kUnavailable: the controller did not come back.
[[nodiscard]] Result<Followed> follow(const ControllerApi& api, api::RunSummary first,
                                      const Interrupt& interrupt, const FollowOptions& options,
                                      const std::function<void(const api::RunSummary&)>& on_summary,
                                      const std::function<void(const std::string&)>& say);

}  // namespace faultline::cli
