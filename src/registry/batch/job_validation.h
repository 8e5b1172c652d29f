// Rules of jobs, which the job templates of CronJobs share.
#pragma once

#include <string_view>

#include "registry/rules.h"

namespace km::registry {

inline constexpr std::string_view kControllerUid = "batch.kubernetes.io/controller-uid", kOldControllerUid = "controller-uid";
inline constexpr std::string_view kJobName = "batch.kubernetes.io/job-name", kOldJobName = "job-name";

bool isIndexed(const api::batch_v1::JobSpec& s);
// "True", "False", or empty.
std::string_view jobCondition(const api::batch_v1::Job& j, std::string_view type);

// The spec but for its selector.
void validateJobSpec(const api::batch_v1::JobSpec& s, const Path& p, FieldErrors& errors);
// `prefixed`: the labels batch.kubernetes.io/* must be there too.
void validateJob(const api::batch_v1::Job& j, bool prefixed, FieldErrors& errors);
void validateJobUpdate(const api::batch_v1::Job& j, const api::batch_v1::Job& old, FieldErrors& errors);
// Rules of a status hold only where this update changes what they look at.
void validateJobStatusUpdate(const api::batch_v1::Job& j, const api::batch_v1::Job& old, FieldErrors& errors);

}  // namespace km::registry
