// SPDX-License-Identifier: Apache-2.0
#include "api/monitoring_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace faultline::api {
namespace {

using testing::HasSubstr;

TEST(MonitoringConfig, NamesEachSourceAndItsFiles) {
  const auto config = parse_monitoring(
      "monitoring:\n"
      "  - {name: eu, kind: prometheus, url: 'https://prometheus.example/eu', timeout: 3s,\n"
      "     bearerTokenFile: /run/token, tls: {caFile: /run/ca.pem, certFile: /run/a.pem,\n"
      "     keyFile: /run/a.key, serverName: prometheus.example}}\n"
      "  - {name: alerts, kind: alertmanager, url: 'http://10.0.0.1:9093',\n"
      "     basic: {username: faultline, passwordFile: /run/password}}\n",
      "monitoring.yaml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->monitoring.size(), 2U);
  EXPECT_EQ(config->monitoring[0].kind, SourceKind::prometheus);
  EXPECT_EQ(config->monitoring[0].timeout.format(), "3s");
  EXPECT_EQ(config->monitoring[0].tls->keyFile, "/run/a.key");
  EXPECT_EQ(config->monitoring[1].basic->username, "faultline");
  EXPECT_EQ(config->monitoring[1].timeout.format(), "2s");
}

TEST(MonitoringConfig, AnEmptyFileNamesNone) {
  for (const char* text : {"", "# nothing yet\n", "monitoring: []\n"}) {
    const auto config = parse_monitoring(text, "monitoring.yaml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_TRUE(config->monitoring.empty());
  }
}

TEST(MonitoringConfig, WhatIsWrongIsToldByLineFieldAndWord) {
  const auto config = parse_monitoring(
      "monitoring:\n"
      "  - {name: eu, kind: promtheus, url: 'http://a:9090'}\n"
      "  - {name: us, kind: prometheus, uri: 'http://a:9090'}\n"
      "  - {name: x, kind: prometheus, url: 'http://user:word@a:9090'}\n"
      "  - {name: y, kind: prometheus, url: 'http://a', tls: {caFile: /ca}}\n"
      "  - {name: z, kind: prometheus, url: 'https://a', tls: {certFile: /a}, timeout: 2m}\n"
      "  - {name: y, kind: alertmanager, url: 'http://b', bearerTokenFile: token}\n",
      "monitoring.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Errc::kInvalid);
  const std::string& said = config.error().message;
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:2: monitoring[0].kind: "));
  EXPECT_THAT(said, HasSubstr("prometheus"));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:3: monitoring[1].uri: unknown key"));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:4: monitoring[2].url: "));
  EXPECT_THAT(said, HasSubstr("without user"));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:5: monitoring[3].tls: is for an https url"));
  EXPECT_THAT(said, HasSubstr("monitoring[4].timeout"));
  EXPECT_THAT(said, HasSubstr("monitoring[5].bearerTokenFile"));
}

TEST(MonitoringConfig, NamesAreThereOnce) {
  const auto config = parse_monitoring(
      "monitoring:\n  - {name: a, kind: prometheus, url: 'http://a'}\n"
      "  - {name: a, kind: alertmanager, url: 'http://b'}\n",
      "monitoring.yaml");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message,
              HasSubstr("monitoring.yaml:3: monitoring[1].name: \"a\" is there twice"));
}

TEST(MonitoringConfig, WhoIsToldHasAnAddressOrItsFile) {
  const auto config = parse_monitoring(
      "events:\n"
      "  - {name: chat, kind: webhook, urlFile: /run/secrets/chat}\n"
      "  - {name: boards, kind: grafana, url: 'https://grafana.example', timeout: 3s,\n"
      "     bearerTokenFile: /run/secrets/grafana, tls: {caFile: /run/ca.pem}}\n",
      "monitoring.yaml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->events.size(), 2U);
  EXPECT_EQ(config->events[0].kind, DestinationKind::webhook);
  EXPECT_EQ(config->events[0].timeout.format(), "5s");
  EXPECT_EQ(config->events[1].kind, DestinationKind::grafana);
  const auto wrong = parse_monitoring(
      "events:\n"
      "  - {name: chat, kind: webhook}\n"
      "  - {name: chat, kind: slack, url: 'http://a'}\n"
      "  - {name: both, kind: grafana, url: 'http://a', urlFile: /b}\n"
      "  - {name: both, kind: grafana, url: 'http://a'}\n"
      "  - {name: sent, kind: webhook, url: 'https://a/b?sig=c'}\n"
      "  - {name: asked, kind: grafana, url: 'https://a/b?sig=c'}\n",
      "monitoring.yaml");
  ASSERT_FALSE(wrong);
  const std::string& said = wrong.error().message;
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:2: events[0]: needs one of url and urlFile"));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:3: events[1].kind: "));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:4: events[2]: needs one of url and urlFile"));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:5: events[3].name: \"both\" is there twice"));
  EXPECT_THAT(said, Not(HasSubstr("events[4]")));
  EXPECT_THAT(said, HasSubstr("monitoring.yaml:7: events[5].url: is where Grafana is, without"));
}

TEST(MonitoringConfig, AnEndpointOfACommandLineHasANameOrThatOfItsKind) {
  const auto plain = parse_endpoint(SourceKind::prometheus, "http://127.0.0.1:9090");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->name, "prometheus");
  EXPECT_EQ(plain->url, "http://127.0.0.1:9090");
  const auto named = parse_endpoint(SourceKind::alertmanager, "eu=https://a.example/x=y");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->name, "eu");
  EXPECT_EQ(named->url, "https://a.example/x=y");
  for (const char* wrong : {"", "a.example:9090", "ftp://a", "http://", "E U=http://a",
                            "http://a?x=1", "http://me@a:9090", "=http://a"}) {
    const auto endpoint = parse_endpoint(SourceKind::prometheus, wrong);
    ASSERT_FALSE(endpoint) << wrong;
    EXPECT_EQ(endpoint.error().code, Errc::kInvalid);
    EXPECT_THAT(endpoint.error().message, HasSubstr("expected "));
  }
  EXPECT_FALSE(names_differ({*plain, *plain}));
  EXPECT_TRUE(names_differ({*plain, *named}));
}

}  // namespace
}  // namespace faultline::api
