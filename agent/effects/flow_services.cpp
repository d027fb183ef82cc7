// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/flow_services.h"

#include <atomic>
#include <utility>

namespace faultline::agent {
namespace {

template <class T>
T load(T& value) {
  return std::atomic_ref(value).load(std::memory_order_relaxed);
}

std::uint64_t growth(__u64& counter, std::uint64_t& last) {
  const std::uint64_t now = load(counter);
  return now - std::exchange(last, now);
}

void add_histogram(const char* metric, const std::map<std::string, std::string>& labels,
                   api::Histogram histogram, std::vector<api::EffectSample>& samples) {
  if (histogram.count() == 0) return;
  api::EffectSample sample;
  sample.metric = metric;
  sample.labels = labels;
  sample.histogram = std::move(histogram);
  samples.push_back(std::move(sample));
}

}  // namespace

api::EffectSample counter_sample(std::string metric, std::map<std::string, std::string> labels,
                                 std::uint64_t growth) {
  api::EffectSample sample;
  sample.metric = std::move(metric);
  sample.labels = std::move(labels);
  sample.value = static_cast<double>(growth);
  return sample;
}

std::uint64_t FlowServices::take(bool both_banks, std::vector<api::EffectSample>& samples) {
  std::uint64_t requests = 0;
  for (std::uint32_t i = 0; i < FL_FLOW_SERVICES; ++i) {
    const std::uint32_t name = load(shared_[i].name);
    if (name == 0) break;  // places are taken in their order
    requests += take_service(i, name, both_banks, samples);
  }
  return requests;
}

std::uint64_t FlowServices::take_service(std::uint32_t index, std::uint32_t name, bool both_banks,
                                         std::vector<api::EffectSample>& samples) {
  const std::uint32_t port = name % FL_FLOW_PORTS;
  const bool of_server = name == FL_FLOW_SERVICE_NAME(FL_FLOW_SERVER, port);
  const std::map<std::string, std::string> labels = {{"side", of_server ? "server" : "client"},
                                                     {"port", std::to_string(port)}};
  auto& banks = last_[index];
  Growth sum;
  for (std::uint32_t bank = 0; bank < (both_banks ? FL_BANKS : 1); ++bank)
    add_growth(shared_[index + bank * FL_FLOW_SERVICES], banks[bank], sum);
  const std::uint64_t answered = sum.latency.count() + sum.early;
  samples.push_back(counter_sample("request.rate", labels, answered));
  add_histogram("request.latency", labels, std::move(sum.latency), samples);
  add_histogram("request.duration", labels, std::move(sum.duration), samples);
  samples.push_back(counter_sample("request.abandoned", labels, sum.abandoned));
  samples.push_back(counter_sample("request.unanswered", labels, sum.unanswered));
  for (std::size_t status = 2; status < sum.responses.size(); ++status) {
    bool seen = false;
    for (const Last& last : banks) seen |= last.responses[status] != 0;
    if (!seen) continue;
    auto with_class = labels;
    with_class["class"] = std::to_string(status) + "xx";
    samples.push_back(
        counter_sample("request.responses", std::move(with_class), sum.responses[status]));
  }
  if (answered + sum.cut_off == 0) return 0;
  api::EffectSample errors;
  errors.metric = "request.errors";
  errors.labels = labels;
  errors.numerator = static_cast<double>(sum.failed);
  errors.denominator = static_cast<double>(answered + sum.cut_off);
  samples.push_back(std::move(errors));
  return answered + sum.cut_off;
}

// Of one service in one bank.
void FlowServices::add_growth(fl_flow_service& service, Last& last, Growth& sum) {
  sum.latency.merge(last.latency.advance({service.latency}));
  sum.duration.merge(last.duration.advance({service.duration}));
  sum.failed += growth(service.failed, last.failed);
  sum.cut_off += growth(service.failed_unanswered, last.cut_off);
  sum.abandoned += growth(service.abandoned, last.abandoned);
  sum.unanswered += growth(service.unanswered, last.unanswered);
  sum.early += growth(service.early, last.early);
  for (std::size_t status = 0; status < sum.responses.size(); ++status)
    sum.responses[status] += growth(service.responses[status], last.responses[status]);
}

}  // namespace faultline::agent
