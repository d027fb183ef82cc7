// SPDX-License-Identifier: Apache-2.0
#include "controller/store/worker.h"

#include <pthread.h>

namespace faultline::controller {

Worker::Worker(const std::string& name) {
  boost::asio::post(pool_,
                    [name] { pthread_setname_np(pthread_self(), name.substr(0, 15).c_str()); });
}

Worker::~Worker() { pool_.join(); }

}  // namespace faultline::controller
