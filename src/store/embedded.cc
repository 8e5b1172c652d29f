#include "store/embedded.h"

#include <cstdlib>

#include "store/mvcc.h"
#include "store/rows.h"

namespace km::store {

Result<std::unique_ptr<Store>> openEmbedded(const EmbeddedOptions& options) {
  KM_ASSIGN(std::unique_ptr<RowStore> rows, openRocksRows(options.directory));
  return MvccStore::open(std::move(rows), *options.clock);
}

std::unique_ptr<Store> openMemory(Clock& clock) {
  auto store = MvccStore::open(memoryRows(), clock);
  if (!store.ok()) std::abort();  // empty memory cannot be damaged
  return std::move(store).value();
}

}  // namespace km::store
