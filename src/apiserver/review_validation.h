// What upstream checks of an access review before it decides.
#pragma once

#include "api/object.h"
#include "base/status.h"

namespace km::apiserver {

// Of a SubjectAccessReview, LocalSubjectAccessReview or SelfSubjectAccessReview; 422 with every error.
Status checkAccessReview(const api::Object& review);

}  // namespace km::apiserver
