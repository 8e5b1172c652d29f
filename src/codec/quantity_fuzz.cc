// Quantities, durations and times from any text: what is printed is read back as the same.
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/scalars.h"

using km::codec::Quantity;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto q = Quantity::parse(text);
  if (!q.ok()) return 0;
  std::string shown = q->str();
  auto again = Quantity::parse(shown);
  if (!again.ok() || !(*again == *q)) std::abort();
  // A binary number that is no multiple of 1024 is shown without a suffix, and that is read as a decimal one: upstream's third form differs, too.
  auto third = Quantity::parse(again->str());
  if (!third.ok() || !(*third == *q) || third->str() != again->str()) std::abort();
  Quantity sum = *q;
  sum += *again;
  sum -= *again;
  q->value();
  q->milliValue();
  q->wrappedMilliValue();
  return 0;
}
