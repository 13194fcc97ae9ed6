// Fetches credentials as any unmodified program would, and makes signed calls with them.
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const identity = await new STSClient({}).send(new GetCallerIdentityCommand({}));
const object = await new S3Client({ forcePathStyle: true }).send(
  new GetObjectCommand({ Bucket: process.argv[2], Key: process.argv[3] }),
);
console.log(JSON.stringify({ arn: identity.Arn, body: await object.Body.transformToString() }));
