#include "api/types/batch_v1.h"
#include "registry/batch/job_indexes.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

using api::batch_v1::Job;

std::string jobWith(std::string_view spec) {
  return R"({"metadata":{"name":"a"},"spec":{)" + std::string(spec) +
         R"("template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i:1"}]}}}})";
}

TEST(JobIndexesTest, CountsAndSaysWhatIsWrong) {
  EXPECT_EQ(*countIndexes("1,3-5,7", 10), 5);
  EXPECT_EQ(*countIndexes("", 10), 0);
  EXPECT_EQ(countIndexes("10", 10).status().message(), "too large index: \"10\"");
  EXPECT_EQ(countIndexes("3,1", 10).status().message(), "non-increasing order, previous: 3, current: 1");
  EXPECT_EQ(countIndexes("x", 10).status().message(), "cannot convert string to integer for index: \"x\"");
  EXPECT_EQ(commonIndex("0-3,6", "5,6-7", 10), 6);
  EXPECT_EQ(commonIndex("0-3", "bad,4-5", 10), std::nullopt);
}

TEST(JobTest, GetsTheLabelsAndSelectorOfItsOwn) {
  Kind jobs("batch", "v1", "jobs");
  auto o = jobs.created(jobWith(""));
  const auto& j = o->as<Job>();
  EXPECT_EQ(j.spec.selector->matchLabels.get("batch.kubernetes.io/controller-uid"), j.metadata.uid);
  EXPECT_EQ(j.spec.template_.metadata.labels.get("job-name"), "a");
  EXPECT_EQ(j.metadata.labels.get("batch.kubernetes.io/job-name"), "a");
}

TEST(JobTest, PoliciesNeedTheirMode) {
  Kind jobs("batch", "v1", "jobs");
  EXPECT_EQ(jobs.createErrors(jobWith(R"("managedBy":"plain",)")),
            "spec.managedBy: Invalid value: \"plain\": must be a domain-prefixed path (such as \"acme.io/foo\")");
  EXPECT_EQ(jobs.createErrors(jobWith(R"("completionMode":"Indexed","completions":3,"successPolicy":{"rules":[{"succeededCount":5}]},)")),
            "spec.successPolicy.rules[0].succeededCount: Invalid value: 5: must be less than or equal to 3 (the number of specified completions)");
}

TEST(JobTest, StatusesChangeOnlyForward) {
  Kind jobs("batch", "v1", "jobs");
  auto old = jobs.created(jobWith(""));
  auto now = old->clone();
  auto& done = now->as<Job>().status.conditions.add();
  done.type = "Complete";
  done.status = "True";
  api::FieldErrors bad;
  jobs.strategy->validateStatusUpdate(jobs.context, *now, *old, bad);
  EXPECT_EQ(bad.aggregate(),
            "[status.completionTime: Required value: completionTime is required for Complete jobs, "
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition, "
            "status.startTime: Required value: startTime is required for finished job]");
}

}  // namespace
}  // namespace km::registry
