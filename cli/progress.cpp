// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <ostream>

#include "base/printable.h"
#include "cli/controller_api.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

constexpr std::chrono::seconds kPlainInterval{5};

}  // namespace

Progress::Progress(Console& console, api::Experiment experiment, bool to_err)
    : console_(console),
      out_(to_err ? console.err : console.out),
      live_(console.out_is_terminal && !to_err),
      view_(std::move(experiment)) {}

void Progress::show(const api::RunSummary& summary) {
  const bool changed = shown_ != summary.state;
  // The finished phase keeps its last figures on the screen.
  if (changed && live_) finish();
  view_.update(summary);
  shown_ = summary.state;
  const auto now = std::chrono::steady_clock::now();
  if (live_) {
    draw();
    if (ended(summary.state)) finish();
  } else if (changed || now - last_line_ >= kPlainInterval) {
    last_line_ = now;
    out_ << printable(view_.line(false)) << "\n" << std::flush;
  }
}

void Progress::draw() {
  drawn_ = printable(view_.line(true));
  const int width = console_.width();
  // One column is left free: a full line would wrap on some terminals and be drawn twice.
  out_ << "\r" << cut(drawn_, width > 20 ? static_cast<std::size_t>(width) - 1 : 19) << "\033[K"
       << std::flush;
}

void Progress::finish() {
  if (!drawn_.empty()) out_ << "\n" << std::flush;
  drawn_.clear();
}

void Progress::say(const std::string& line) {
  finish();
  console_.err << "  " << printable(line) << "\n" << std::flush;
}

}  // namespace faultline::cli
