#include "store/shared_compactor.h"

#include "base/log.h"

namespace km::store {

void SharedCompactor::step() {
  // The guard on the revision says the same as upstream's on the version: nobody wrote the key since.
  auto value = std::make_shared<const std::string>(std::to_string(before_));
  auto result = commitAndWait(store_, Txn::update(std::string(kKey), seen_, value));
  if (!result.ok()) {
    KM_LOG(WARNING, "compaction cannot be agreed upon: {}", result.status().message());
    return;
  }
  Revision target = result->succeeded ? before_ : 0;
  before_ = result->revision;
  if (result->succeeded) {
    seen_ = result->revision;
  } else {
    seen_ = result->kv ? result->kv->modRevision : 0;
  }
  if (target == 0) return;
  Status s = compactAndWait(store_, target);
  if (!s.ok() && !s.is("Expired")) KM_LOG(WARNING, "compaction failed: {}", s.message());
}

}  // namespace km::store
