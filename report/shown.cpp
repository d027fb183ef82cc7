// SPDX-License-Identifier: Apache-2.0
#include "report/shown.h"

#include "api/strings.h"
#include "base/printable.h"

namespace faultline::report {

api::Report shown(const api::Report& report) {
  api::Report out = report;
  out.experiment.spec.purpose = printable_prose(report.experiment.spec.purpose);
  api::for_each_text(out, [](std::string& text) { text = printable(text); });
  return out;
}

}  // namespace faultline::report
