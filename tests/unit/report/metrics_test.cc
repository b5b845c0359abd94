// SPDX-License-Identifier: Apache-2.0
#include "agent/report/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "datapath/include/contract.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string TextOf(Snapshot snapshot) {
  Publisher publisher;
  publisher.Publish(std::move(snapshot));
  return MetricsText(MetricsCollector(publisher));
}

// What `promtool check metrics` says of `text`, and how it ends.
struct Verdict {
  std::string output;
  int status = -1;
};
Verdict Promtool(const std::string& text) {
  testing::TemporaryDirectory directory;
  const std::string file = directory.path() + "/metrics";
  std::ofstream(file) << text;
  Verdict verdict;
  FILE* pipe = ::popen(("promtool check metrics 2>&1 < " + file).c_str(), "r");
  if (!pipe) return verdict;
  char buffer[512];
  while (size_t size = std::fread(buffer, 1, sizeof(buffer), pipe)) verdict.output.append(buffer, size);
  verdict.status = ::pclose(pipe);
  return verdict;
}

TEST(Metrics, PromtoolFindsNothingInAFullSnapshot) {
  Snapshot snapshot = testing::SampleSnapshot();
  snapshot.problems = {{.code = "load", .message = "loading from_pod: refused", .step = "load program",
                        .object = "from_pod/fp_lb4", .verifier = {"R1 !read_ok", "\"quoted\"\n"}}};
  const Verdict verdict = Promtool(TextOf(std::move(snapshot)));
  EXPECT_EQ(verdict.status, 0);
  EXPECT_EQ(verdict.output, "");
}

TEST(Metrics, OfTheBoardAreThereWhileThereIsOne) {
  Snapshot snapshot = testing::SampleSnapshot();
  EXPECT_THAT(TextOf(snapshot), Not(HasSubstr("bonsai_life")));
  snapshot.life = life_state{.generation = 12, .population = 34, .run_until = LIFE_FOREVER,
                             .generations = 56, .last_ns = 1'000'000, .total_ns = 2'500'000'000,
                             .longest_ns = 250'000, .events_lost = 7};
  const std::string text = TextOf(snapshot);
  for (const char* line : {"\nbonsai_life_generation 12\n", "\nbonsai_life_population 34\n",
                           "\nbonsai_life_generations_total 56\n", "\nbonsai_life_paused 0\n",
                           "\nbonsai_life_generation_seconds 0.001\n",
                           "\nbonsai_life_compute_seconds_total 2.5\n",
                           "\nbonsai_life_longest_slice_seconds 0.00025\n",
                           "\nbonsai_life_events_lost_total 7\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(Promtool(text).output, "");
}

TEST(Metrics, PromtoolFindsNothingBeforeTheFirstLoad) {
  const Verdict verdict = Promtool(TextOf(Snapshot()));
  EXPECT_EQ(verdict.status, 0);
  EXPECT_EQ(verdict.output, "");
}

TEST(Metrics, PromtoolWouldFindABadName) {
  EXPECT_NE(Promtool("# TYPE bonsai_bad counter\nbonsai_bad 1\n").output, "");
}

TEST(Metrics, PeaksAndPartsOfWhatWasSaved) {
  Snapshot snapshot = testing::SampleSnapshot();
  snapshot.memory_saved_programs = 616;
  const std::string text = TextOf(std::move(snapshot));
  EXPECT_THAT(text, HasSubstr("bonsai_map_entries_peak{map=\"ct4\"} 31000\n"));
  EXPECT_THAT(text, Not(HasSubstr("bonsai_map_entries_peak{map=\"events\"}")));
  EXPECT_THAT(text, HasSubstr("bonsai_memory_pruned_maps_bytes 20975000\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_memory_pruned_programs_bytes 616\n"));
}

TEST(Metrics, MapsByState) {
  const std::string text = TextOf(testing::SampleSnapshot());
  EXPECT_THAT(text, HasSubstr("bonsai_map_bytes{map=\"ct4\",feature=\"conntrack\",state=\"loaded\"} 17825792\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_map_bytes{map=\"ct6\",feature=\"conntrack\",state=\"pruned\"} 20971520\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_maps{state=\"loaded\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_maps{state=\"pruned\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_map_entries{map=\"ct4\"} 23592\n"));
  EXPECT_THAT(text, Not(HasSubstr("bonsai_map_entries{map=\"events\"}")));
  EXPECT_THAT(text, HasSubstr("bonsai_map_pressure_ratio{map=\"ct4\"} 0.17999267578125\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_memory_saved_bytes{feature=\"conntrack\"} 20971520\n"));
}

TEST(Metrics, ConfigurationAndTraffic) {
  const std::string text = TextOf(testing::SampleSnapshot());
  EXPECT_THAT(text, HasSubstr("bonsai_configuration_generation 7\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_configuration_in_sync 1\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_configuration_rejections_total{reason=\"settings\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_configuration_rejections_total{reason=\"load\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_drops_total{reason=\"policy-denied\",hook=\"from-pod\"} 17\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_forwards_bytes_total{reason=\"forwarded\",hook=\"from-pod\"} 98765432\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_attachments{hook=\"from-pod\",mode=\"tcx\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_tail_calls{state=\"pruned\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_neutralised_functions 1\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_load_retries_total 1\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_program_verified_instructions{program=\"from_pod/from_pod\"} 2950\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_services 2\n"));
}

TEST(Metrics, HttpOnlyWhileItIsOn) {
  Snapshot snapshot = testing::SampleSnapshot();
  EXPECT_THAT(TextOf(snapshot), Not(HasSubstr("bonsai_http_")));
  snapshot.http_counts.resize(HTTP_COUNTERS);
  snapshot.http_counts[HTTP_GET] = 5;
  snapshot.http_counts[HTTP_OTHER] = 2;
  snapshot.http_counts[HTTP_CLASS_FIRST] = 1;
  snapshot.http_counts[HTTP_CLASS_FIRST + 4] = 4;
  snapshot.http_counts[HTTP_MALFORMED] = 3;
  const std::string text = TextOf(std::move(snapshot));
  EXPECT_THAT(text, HasSubstr("bonsai_http_requests_total{method=\"GET\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_http_requests_total{method=\"other\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_http_requests_total{method=\"PATCH\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_http_responses_total{class=\"1xx\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_http_responses_total{class=\"5xx\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_http_malformed_total 3\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_http_events_lost_total 0\n"));
}

TEST(Metrics, DnsOnlyWhileItIsOn) {
  Snapshot snapshot = testing::SampleSnapshot();
  EXPECT_THAT(TextOf(snapshot), Not(HasSubstr("bonsai_dns_")));
  snapshot.dns_counts.resize(DNS_COUNTERS);
  snapshot.dns_counts[DNS_QUERIES] = 9;
  snapshot.dns_counts[DNS_DENIED] = 2;
  snapshot.dns_counts[DNS_MALFORMED] = 1;
  snapshot.dns_counts[DNS_RCODE_FIRST + 3] = 4;
  snapshot.dns_counts[DNS_RCODE_FIRST + 15] = 5;
  snapshot.dns_counts[DNS_LOST] = 6;
  const std::string text = TextOf(std::move(snapshot));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_queries_total 9\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_denied_total 2\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_malformed_total 1\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_responses_total{rcode=\"NOERROR\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_responses_total{rcode=\"NXDOMAIN\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_responses_total{rcode=\"RCODE15\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_dns_events_lost_total 6\n"));
}

TEST(Metrics, DriftSinceItBegan) {
  Snapshot snapshot = testing::SampleSnapshot();
  EXPECT_THAT(TextOf(snapshot), HasSubstr("bonsai_configuration_drift_seconds 0\n"));
  snapshot.configuration.in_sync = false;
  snapshot.configuration.drift_since = snapshot.taken - std::chrono::seconds(90);
  const std::string text = TextOf(snapshot);
  EXPECT_THAT(text, HasSubstr("bonsai_configuration_in_sync 0\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_configuration_drift_seconds 90\n"));
}

TEST(Metrics, DurationOfTheLastChangeByStage) {
  const std::string text = TextOf(testing::SampleSnapshot());
  EXPECT_THAT(text, HasSubstr("bonsai_reload_duration_seconds{stage=\"load\"} 0.021"));
  EXPECT_THAT(text, HasSubstr("bonsai_reload_duration_seconds{stage=\"analyse\"} 0.004"));
}

TEST(Metrics, ProblemsByCode) {
  Snapshot snapshot;
  snapshot.problems = {{.code = "load"}, {.code = "load"}, {.code = "attach"}};
  const std::string text = TextOf(std::move(snapshot));
  EXPECT_THAT(text, HasSubstr("bonsai_problems{code=\"load\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("bonsai_problems{code=\"attach\"} 1\n"));
}

TEST(Metrics, SayOnceWhereAChangeFailed) {
  Snapshot snapshot;
  const Problem problem{.code = "tables", .message = "one", .step = "write table", .object = "policy"};
  snapshot.problems = {problem, problem, {.code = "configuration", .message = "no change"}};
  snapshot.problems[1].message = "another";
  const std::string text = TextOf(std::move(snapshot));
  const std::string line = "bonsai_change_failure_info{code=\"tables\",step=\"write table\","
                           "object=\"policy\",verifier=\"\"} 1\n";
  EXPECT_THAT(text, HasSubstr(line));
  EXPECT_EQ(text.find("bonsai_change_failure_info{"), text.rfind("bonsai_change_failure_info{"));
}

TEST(Metrics, KeepTheEndOfALongVerifierLog) {
  Snapshot snapshot;
  snapshot.problems = {{.code = "load", .step = "load program", .object = "from_pod/from_pod",
                        .verifier = {std::string(1000, 'x'), "R1 !read_ok"}}};
  EXPECT_THAT(TextOf(std::move(snapshot)), HasSubstr("x | R1 !read_ok\"} 1\n"));
}

}  // namespace
}  // namespace bonsai::report
