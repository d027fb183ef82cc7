// SPDX-License-Identifier: Apache-2.0
#include "tests/monitoring/service.h"

#include <sstream>

namespace faultline::controller::observe::test {

Service::Service(std::vector<Histogram> histograms) {
  for (Histogram& one : histograms) {
    const std::size_t edges = one.edges.size();
    histograms_.push_back({std::move(one), std::vector<double>(edges)});
  }
}

void Service::behave(Behaviour behaviour) {
  const std::lock_guard lock(mutex_);
  advance();
  now_ = behaviour;
}

void Service::advance() {
  const auto now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - until_).count();
  until_ = now;
  const double requests = now_.rate * seconds;
  failed_ += requests * now_.failed;
  answered_ += requests * (1 - now_.failed);
  cpu_ += now_.cpu * seconds;
  for (Told& told : histograms_) {
    const double latency = now_.latency * told.as.factor;
    told.sum += requests * latency;
    told.count += requests;
    for (std::size_t i = 0; i < told.as.edges.size(); ++i)
      if (latency <= told.as.edges[i]) {
        told.counts[i] += requests;
        break;
      }
  }
}

std::string Service::text() {
  const std::lock_guard lock(mutex_);
  advance();
  std::ostringstream out;
  out.precision(12);
  out << "http_requests_total{code=\"200\"} " << answered_ << "\n";
  // As many programs do: what never happened is not told.
  if (failed_ > 0) out << "http_requests_total{code=\"500\"} " << failed_ << "\n";
  out << "process_cpu_seconds_total " << cpu_ << "\n";
  for (const Told& told : histograms_) {
    if (told.as.name == now_.silent) continue;
    double up_to = 0;
    for (std::size_t i = 0; i < told.as.edges.size(); ++i) {
      up_to += told.counts[i];
      out << told.as.name << "_bucket{le=\"" << told.as.edges[i] << "\"} " << up_to << "\n";
    }
    out << told.as.name << "_bucket{le=\"+Inf\"} " << told.count << "\n"
        << told.as.name << "_sum " << told.sum << "\n"
        << told.as.name << "_count " << told.count << "\n";
  }
  return out.str();
}

}  // namespace faultline::controller::observe::test
